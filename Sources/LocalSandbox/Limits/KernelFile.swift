import DeploymentCore
import Glibc

/// Small files of the kernel: control groups and /proc.
enum KernelFile {
    /// Writes a value.
    ///
    /// - Throws: `sandbox` with the path and the kernel's reason.
    static func write(_ value: String, to path: String) throws {
        let file = try Descriptor(opening: path, flags: O_WRONLY | O_NOFOLLOW)
        let bytes = Array(value.utf8)
        guard Glibc.write(file.number, bytes, bytes.count) == bytes.count else {
            throw BerthError.system(errno, "\(value) cannot be written to \(path)")
        }
    }

    /// The text without its last newline; nil when it cannot be read.
    static func text(_ path: String) -> String? {
        guard let bytes = ProcessTable.read(path) else { return nil }
        return String(decoding: bytes.last == UInt8(ascii: "\n") ? bytes.dropLast() : bytes[...], as: UTF8.self)
    }

    /// A number that is the whole file; nil for `max`.
    static func number(_ path: String) -> Int64? { text(path).flatMap { Int64($0) } }

    /// The number behind a name in a file of `name number` lines.
    static func number(_ name: String, in path: String) -> Int64? {
        let lines = text(path)?.split(separator: "\n") ?? []
        for line in lines {
            let words = line.split(separator: " ")
            if words.count == 2, words[0] == name { return Int64(words[1]) }
        }
        return nil
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
