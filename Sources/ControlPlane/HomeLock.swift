import CPlatform
import DeploymentCore
import Foundation

/// The right to be the one control plane of a home; the kernel takes it back when the process ends.
public struct HomeLock: Sendable {
    private let descriptor: Int32

    /// - Throws: `conflict` when another process holds it.
    init(_ path: String) throws {
        descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw BerthError(.internalError, "cannot open \(path): \(String(cString: strerror(errno)))")
        }
        var request = Self.wholeFile
        guard fcntl(descriptor, BERTH_OFD_SETLK, &request) == 0 else {
            close(descriptor)
            throw BerthError(
                .conflict, "a control plane already serves this home",
                suggestion: "use it, or end it with `berth down`")
        }
    }

    /// Whether a process holds the lock; asking does not take it.
    public static func isHeld(_ path: String) -> Bool {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var request = wholeFile
        return fcntl(descriptor, BERTH_OFD_GETLK, &request) == 0 && request.l_type != Int16(F_UNLCK)
    }

    func release() { close(descriptor) }

    private static var wholeFile: flock {
        flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0)
    }
}
