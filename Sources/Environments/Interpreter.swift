import DeploymentCore

/// A Python interpreter on this machine.
public struct Interpreter: Sendable, Hashable {
    /// The full version, as `3.11.7`.
    public let version: String
    /// The implementation in lower case, as `cpython`.
    public let implementation: String
    /// What binary wheels must fit, as `linux-x86_64-cpython-311-x86_64-linux-gnu`.
    public let platform: String
    /// The absolute path of the program, without symbolic links.
    public let path: String
    /// The folder with its standard library.
    public let prefix: String

    /// `3.11`: what wheels and `requires-python` are about.
    public var minor: String { version.split(separator: ".").prefix(2).joined(separator: ".") }
    /// The folder that a sandbox must show for the interpreter to run; nil when it lies under `/usr`.
    public var visiblePrefix: String? { prefix == "/usr" || prefix.hasPrefix("/usr/") ? nil : prefix }
}

/// Interpreters asked for before, so that a deploy does not search the PATH again.
final class InterpreterCache: Sendable {
    private let found = Locked<[String: Interpreter]>([:])

    subscript(request: String) -> Interpreter? {
        get { found.withLock { $0[request] } }
        set { found.withLock { $0[request] = newValue } }
    }
}
