import DeploymentCore
import Glibc

/// An open file descriptor with one owner; closed with it.
final class Descriptor: Sendable {
    let number: Int32

    /// Takes over `number`.
    init(_ number: Int32) { self.number = number }

    deinit { close(number) }

    /// Opens a path, closed on exec.
    ///
    /// - Throws: `sandbox` with the path and the reason.
    init(opening path: String, flags: Int32, mode: mode_t = 0o600) throws {
        number = open(path, flags | O_CLOEXEC, mode)
        guard number >= 0 else { throw BerthError.system(errno, "\(path) cannot be opened") }
    }

    /// Opens a folder for use as a starting point.
    convenience init(folder: String) throws {
        try self.init(opening: folder, flags: O_RDONLY | O_DIRECTORY)
    }
}

extension BerthError {
    /// A failed system call; a full disk has its own code.
    static func system(_ number: Int32, _ message: String) -> BerthError {
        let code: Code = number == ENOSPC || number == EDQUOT ? .storageFull : .sandbox
        return BerthError(code, "\(message): \(String(cString: strerror(number)))")
    }
}

/// Gives the value of a C function of ours, which answers a negative errno on failure.
@discardableResult
func check(_ result: Int32, _ message: @autoclosure () -> String) throws -> Int32 {
    guard result >= 0 else { throw BerthError.system(-result, message()) }
    return result
}
