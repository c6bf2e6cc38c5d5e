import DeploymentCore
import E2BProtocol

/// What is run beside a volume for each operation on its contents.
///
/// Links of folders are followed, so every place is resolved first and has to lie in the volume. A name may hold anything
/// but a slash and a zero byte, also a line's end, which is why resolved paths are read with a letter behind them.
enum VolumeScript {
    /// Where a volume is mounted for it.
    static let place = "/volume"
    /// The fields of an entry.
    private static let fields = 10

    /// The operations.
    enum Operation: String {
        case stat, list, locate, remove, change, folder, write, erase
    }

    /// The command of an operation.
    ///
    /// - Parameters:
    ///   - attributes: owner, group and permissions, or the depth of a list in their place.
    ///   - draft: what a file was written to before it gets its name; without one `write` makes and tells it.
    static func command(
        _ operation: Operation, _ path: String = "/", _ attributes: [String] = ["", "", ""], force: Bool = false,
        draft: String = ""
    ) -> [String] {
        ["/bin/sh", "-c", text, "sh", operation.rawValue, path] + attributes + [force ? "1" : "", draft]
    }

    private static let text = #"""
        top=/volume op=$1 path=$2 uid=$3 gid=$4 mode=$5 force=$6 new=$7
        form='%y\0%s\0%m\0%U\0%G\0%A@\0%T@\0%C@\0%l\0%P\0'
        follow() {
            at=$(realpath -m -- "$1"; echo x); at=${at%?x}
            case $at/ in "$top"/*) ;; *) exit 13 ;; esac
        }
        there() { [ -e "$at" ] || [ -L "$at" ]; }
        own() {
            if [ "$uid" ]; then chown -h -- "$uid" "$1" || exit 1; fi
            if [ "$gid" ]; then chgrp -h -- "$gid" "$1" || exit 1; fi
        }
        parents() {
            if [ -d "$1" ]; then return; fi
            if [ -e "$1" ]; then exit 15; fi
            if [ -z "$force" ]; then exit 12; fi
            parents "${1%/*}"
            mkdir -- "$1" || exit 1
            own "$1"
        }
        at=$top
        if [ "$path" != / ]; then follow "$top${path%/*}"; folder=$at; at=$folder/${path##*/}; fi
        case $op in
        stat | list | locate | remove | change) there || exit 12 ;;
        esac
        case $op in
        list)
            follow "$at"
            [ -d "$at" ] || exit 15
            exec find "$at" -mindepth 1 -maxdepth "$mode" -printf "$form" ;;
        locate)
            follow "$at"
            if [ -d "$at" ]; then exit 17; fi
            [ -f "$at" ] || exit 12
            printf '%s\0' "$at"
            exit ;;
        remove)
            if [ "$at" = "$top" ]; then exit 16; fi
            exec rm -rf -- "$at" ;;
        erase)
            find "$top" -type d ! -perm -700 -exec chmod u+rwx {} \;
            exec find "$top" -mindepth 1 -delete ;;
        change)
            own "$at"
            if [ "$mode" ] && [ ! -L "$at" ]; then chmod -- "$mode" "$at" || exit 1; fi ;;
        folder)
            if [ -z "$force" ] || [ ! -d "$at" ]; then
                if there; then exit 14; fi
                parents "$folder"
                mkdir -- "$at" && own "$at" && chmod -- "$mode" "$at" || exit 1
            fi ;;
        write)
            if [ -L "$at" ] && [ "$force" ]; then follow "$at"; folder=${at%/*}; fi
            if [ -d "$at" ]; then exit 17; fi
            if [ -z "$force" ] && there; then exit 14; fi
            parents "$folder"
            if [ -z "$new" ]; then
                new=$(mktemp -- "$folder/.upload-XXXXXXXXXX") || exit 1
                printf '%s\0' "$new"
                exit
            fi
            trap 'rm -f -- "$new"' EXIT
            own "$new" && chmod -- "$mode" "$new" || exit 1
            # Another one may have come meanwhile, which a link does not replace.
            if [ "$force" ]; then mv -fT -- "$new" "$at" || exit 1
            elif ! ln -T -- "$new" "$at" 2>/dev/null; then there && exit 14; exit 1; fi ;;
        esac
        find "$at" -maxdepth 0 -printf "$form"
        """#

    /// Reads entries; `base` is where they were looked for.
    static func entries(_ bytes: [UInt8], below base: String) throws -> [VolumeEntry] {
        let values = bytes.split(separator: 0, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        guard values.count % fields == 1, values.last == "" else {
            throw BerthError(.sandbox, "find describes a volume in a way that is not understood")
        }
        return try stride(from: 0, to: values.count - 1, by: fields).map { first in
            try entry(Array(values[first..<first + fields]), below: base)
        }
    }

    private static func entry(_ values: [String], below base: String) throws -> VolumeEntry {
        guard let size = Int64(values[1]), let mode = Int64(values[2], radix: 8), let user = Int64(values[3]),
            let group = Int64(values[4]), let read = time(values[5]), let written = time(values[6]),
            let changed = time(values[7])
        else { throw BerthError(.sandbox, "find describes an entry of a volume in a way that is not understood") }
        let kind: VolumeEntry.Kind =
            switch values[0] {
            case "f": .file
            case "d": .directory
            case "l": .symlink
            default: .unknown
            }
        let path = values[9].isEmpty ? base : (base == "/" ? "" : base) + "/" + values[9]
        return VolumeEntry(
            path: path, kind: kind, size: size, mode: mode, user: user, group: group, times: (read, written, changed),
            target: kind == .symlink ? values[8] : nil)
    }

    /// Seconds with a fraction.
    private static func time(_ text: String) -> Timestamp? {
        let parts = text.split(separator: ".", maxSplits: 1)
        guard let first = parts.first, let seconds = Int64(first) else { return nil }
        let digits = (parts.count > 1 ? String(parts[1]) : "").prefix(9)
        let nanoseconds = Int32(digits + String(repeating: "0", count: 9 - digits.count)) ?? 0
        return Timestamp(seconds: seconds, nanoseconds: nanoseconds)
    }
}
