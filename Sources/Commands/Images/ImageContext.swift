import DeploymentCore
import Foundation
import Glibc

/// The files beside a recipe, packed for their upload.
struct ImageContext {
    let folder: String

    /// Packs a source of COPY, a path or a pattern, and answers the archive's digest and length.
    ///
    /// - Throws: `usage` when nothing matches, `internal_error` with tar's words when it cannot be read.
    func pack(_ source: String, to archive: String) async throws -> (sha256: String, length: Int64) {
        let matches = try matches(of: source)
        _ = try await Self.run(
            [
                "/usr/bin/env", "tar", "--create", "--gzip", "--file=\(archive)", "--format=posix", "--sort=name",
                "--owner=0", "--group=0", "--numeric-owner",
                // Times and what tells of this process would make another archive of the same files.
                "--mtime=@0", "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
                "--directory=\(folder)",
                "--",
            ] + matches)
        let digest = try await Self.run(["/usr/bin/env", "sha256sum", "--", archive]).prefix { $0 != " " }
        var status = stat()
        guard stat(archive, &status) == 0 else { throw BerthError(.internalError, "\(archive) is gone") }
        return (String(digest.drop { $0 == "\\" }), Int64(status.st_size))
    }

    private func matches(of source: String) throws -> [String] {
        var status = stat()
        if lstat("\(folder)/\(source)", &status) == 0 { return [source] }
        let literal = folder.reduce(into: "") { $0 += "\\*?[".contains($1) ? "\\\($1)" : String($1) }
        var found = glob_t()
        defer { globfree(&found) }
        guard glob("\(literal)/\(source)", 0, nil, &found) == 0, found.gl_pathc > 0 else {
            throw BerthError(.usage, "nothing in \(folder) matches \(source)")
        }
        return (0..<Int(found.gl_pathc)).compactMap { index in
            found.gl_pathv[index].map { String(String(cString: $0).dropFirst(folder.count + 1)) }
        }
    }

    /// Runs a program to its end; what it writes is short.
    private static func run(_ command: [String]) async throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        let status = try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        guard status == 0 else {
            let words = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            throw BerthError(.usage, "\(command[1]) failed: \(VisibleText.of(words.trimmingCharacters(in: .newlines)))")
        }
        return text
    }
}
