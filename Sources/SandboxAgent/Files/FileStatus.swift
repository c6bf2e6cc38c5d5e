import E2BProtocol
import Glibc

/// What `stat` tells of a path.
struct FileStatus {
    private let status: stat

    /// Of what the path leads to; nil when that does not exist or cannot be seen.
    init?(following path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.status = status
    }

    /// Of the path itself, even when it is a link.
    init?(of path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        self.status = status
    }

    init?(descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        self.status = status
    }

    private var format: mode_t { status.st_mode & S_IFMT }
    var isDirectory: Bool { format == S_IFDIR }
    var isRegular: Bool { format == S_IFREG }
    var isLink: Bool { format == S_IFLNK }
    /// Whether both are of one file.
    func isSame(as other: FileStatus) -> Bool {
        status.st_dev == other.status.st_dev && status.st_ino == other.status.st_ino
    }
    var size: Int64 { Int64(status.st_size) }
    var mode: Int { Int(status.st_mode & 0o777) }
    var userID: UInt32 { status.st_uid }
    var groupID: UInt32 { status.st_gid }
    var modified: Timestamp {
        Timestamp(seconds: Int64(status.st_mtim.tv_sec), nanoseconds: Int32(status.st_mtim.tv_nsec))
    }

    var type: FileType {
        switch format {
        case S_IFREG: .file
        case S_IFDIR: .directory
        case S_IFLNK: .symlink
        default: .unspecified
        }
    }

    /// The bits as Go prints them.
    func permissions(isLink: Bool) -> String {
        var text = isLink ? "L" : isDirectory ? "d" : "-"
        for shift in [6, 3, 0] {
            let bits = mode >> shift
            text += bits & 4 != 0 ? "r" : "-"
            text += bits & 2 != 0 ? "w" : "-"
            text += bits & 1 != 0 ? "x" : "-"
        }
        return text
    }
}
