import DeploymentCore
import Glibc
import Sandboxes

/// How uploaded files get to their place in a sandbox.
struct CopyScript: Sendable {
    let held: HeldSandbox

    /// Copies from a stage, which it removes: a file to the target or, where that is a folder, into it; the content of a
    /// folder into the target; of a pattern, each match into the target. New folders belong to the owner.
    ///
    /// Arguments: the stage, the source in it, the target, an owner or nothing, a mode or nothing.
    static let text = #"""
        set -u
        stage=$1 source=$2 target=$3 owner=$4 mode=$5
        trap 'rm -rf -- "$stage"' EXIT
        cd -- "$stage" || exit 1
        shopt -s globstar dotglob nullglob
        IFS=
        pattern=no
        if [ -e "$source" ] || [ -L "$source" ]; then
            set -- "$source"
        else
            case $source in *[*?[]*) pattern=yes;; esac
            set -- $source
        fi
        [ $# -gt 0 ] || { echo "COPY: '$source' matches no uploaded file" >&2; exit 1; }
        make() {
            local top= folder=$1
            while [ ! -e "$folder" ]; do top=$folder; folder=$(dirname -- "$folder"); done
            mkdir -p -- "$1" || exit 1
            if [ -n "$top" ] && [ -n "$owner" ]; then chown -R -h -- "$owner:$owner" "$top" || exit 1; fi
        }
        [ -z "$owner" ] || chown -R -h -- "$owner:$owner" . || exit 1
        [ -z "$mode" ] || chmod -R -- "$mode" "$@" || exit 1
        for entry in "$@"; do
            if [ -d "$entry" ] && [ ! -L "$entry" ]; then
                make "${target%/}"
                cp -a -- "$entry/." "${target%/}/" || exit 1
            elif [ "$pattern" = yes ] || [ "$target" != "${target%/}" ] || [ -d "$target" ]; then
                make "${target%/}"
                cp -a -- "$entry" "${target%/}/" || exit 1
            else
                make "$(dirname -- "$target")"
                cp -a -- "$entry" "$target" || exit 1
            fi
        done
        """#

    /// Unpacks an archive of the host, which may be compressed, into a new folder.
    func unpack(_ archive: String, to stage: String) async throws {
        try await SandboxFiles(of: held).extract(archive, to: stage, isCompressed: try Self.isCompressed(archive))
    }

    /// Whether a file begins as gzip does (RFC 1952).
    private static func isCompressed(_ path: String) throws -> Bool {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw BerthError(.notFound, "the uploaded files are gone: \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        var magic: [UInt8] = [0, 0]
        return read(file, &magic, 2) == 2 && magic == [0x1F, 0x8B]
    }
}
