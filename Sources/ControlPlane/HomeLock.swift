import DeploymentCore
import Foundation

/// The right to be the one control plane of a home; the kernel takes it back when the process ends.
struct HomeLock: Sendable {
    private let descriptor: Int32

    /// - Throws: `conflict` when another process holds it.
    init(_ path: String) throws {
        descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw BerthError(.internalError, "cannot open \(path): \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw BerthError(
                .conflict, "a control plane already serves this home",
                suggestion: "use it, or end it with `berth down`")
        }
    }

    func release() { close(descriptor) }
}
