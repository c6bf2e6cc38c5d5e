import DeploymentCore
import Foundation
import HostDisk

/// A secret of this home: a short text in a file that only its user can read, made when there is none.
struct SecretFile: Sendable {
    /// The absolute path.
    let path: String
    /// What the errors call it: `token`.
    let name: String

    /// The content of the file; made by `make` when there is no file.
    ///
    /// - Throws: `internal_error` when others can read it, or it is not `isWhole`; `storage_full` when it cannot be made.
    func load(make: () -> String, isWhole: (String) -> Bool) throws -> String {
        try Disk.makeFolder(path.parentPath, mode: 0o700)
        // When two make it at once, the first one counts.
        if access(path, F_OK) != 0 { try Disk.make(path, with: Array(make().utf8)) }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & 0o077 == 0 else {
            throw BerthError(
                .internalError, "the \(name) file \(path) can be read by others", suggestion: "chmod 600 \(path)")
        }
        guard let text = try? String(contentsOfFile: path, encoding: .utf8), isWhole(text) else {
            throw BerthError(
                .internalError, "the \(name) file \(path) is damaged", suggestion: "remove it and try again")
        }
        return text
    }

    /// `count` random bytes in lower-case hexadecimal digits.
    static func random(_ count: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in
            let byte = generator.next() as UInt8
            return (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}

extension String {
    /// Whether it is nothing but lower-case hexadecimal digits.
    var isHexadecimal: Bool { utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) } }
}
