import CurlClient
import DeploymentCore
import E2BProtocol
import Foundation
import Glibc
import Sandboxes

/// Runs the operations on a volume's contents in its keeper.
struct VolumeWork: Sendable {
    /// The most bytes that an operation may say.
    private static let limit = 8 << 20
    /// How much of what a program complains of is told, in bytes.
    private static let errorLimit = 2048

    /// The longest that a file may take to come; clients give up after as long.
    private static let uploadLimit = Duration.seconds(3600)

    /// What delivers the bytes of a file.
    typealias Feed = @Sendable (_ deliver: @escaping @Sendable ([UInt8]) async throws -> Void) async throws -> Void

    let stay: VolumeKeepers.Stay

    /// Runs an operation to its end; what it printed.
    ///
    /// - Throws: `VolumeFailure` in words of the client's path, and what the agent says.
    func run(_ command: [String], on path: String) async throws -> [UInt8] {
        let process = try await stay.owner.start(
            ProcessSpecification(tag: "", command: command, environment: ["LC_ALL": "C"], workingDirectory: "/"))
        do {
            var (output, errors): ([UInt8], [UInt8]) = ([], [])
            var status: ExitStatus?
            for try await event in process.events {
                switch event {
                case .stdout(let bytes):
                    output += bytes
                    guard output.count <= Self.limit else {
                        throw VolumeFailure(
                            413, "TOO_LARGE", "\(path) holds too much for one answer: ask for less depth")
                    }
                case .stderr(let bytes): errors += bytes.prefix(max(0, Self.errorLimit - errors.count))
                case .ended(let end): status = end
                }
            }
            guard status != .exited(code: 0) else { return output }
            throw Self.failure(status, String(decoding: errors, as: UTF8.self), path)
        } catch {
            await Task { try? await process.signal(SIGKILL) }.value
            throw error
        }
    }

    /// What an operation printed that tells one path.
    func place(_ command: [String], on path: String) async throws -> String {
        String(decoding: try await run(command, on: path).dropLast(), as: UTF8.self)
    }

    /// Streams bytes to a place inside.
    ///
    /// - Throws: what `input` throws; `VolumeFailure` when the disk is full.
    func upload(_ input: @escaping Feed, to place: String) async throws {
        let torn = Locked<(any Error)?>(nil)
        do {
            try await stay.owner.upload(
                .stream { writer in
                    do {
                        try await input { try await writer.write($0) }
                    } catch {
                        torn.withLock { $0 = error }
                        throw error
                    }
                }, to: place, timeout: Self.uploadLimit)
        } catch let error as BerthError where error.code == .storageFull {
            throw VolumeFailure(507, "NO_SPACE", "there is no space left for the file")
        } catch {
            throw torn.withLock { $0 } ?? error
        }
    }

    /// Opens a file inside by the path that `locate` found.
    func open(_ place: String) async throws -> OpenResponse {
        let escaped = place.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        return try await stay.owner.open(
            EnvdClient.Forwarded(
                method: "GET", target: "/files?path=\(escaped)", headers: [("Accept-Encoding", "identity")]))
    }

    private static func failure(_ status: ExitStatus?, _ complaint: String, _ path: String) -> VolumeFailure {
        let path = VisibleText.of(path)
        switch status {
        case .exited(code: 12): return VolumeFailure(404, "PATH_NOT_FOUND", "there is no \(path)")
        case .exited(code: 13): return VolumeFailure(400, "INVALID_PATH", "a link in \(path) leads out of the volume")
        case .exited(code: 14): return VolumeFailure(409, "PATH_ALREADY_EXISTS", "\(path) exists already")
        case .exited(code: 15):
            return VolumeFailure(400, "NOT_A_DIRECTORY", "\(path) leads through what is no directory")
        case .exited(code: 16): return VolumeFailure(400, "CANNOT_DELETE_ROOT", "the root cannot be removed")
        case .exited(code: 17): return VolumeFailure(400, "IS_A_DIRECTORY", "\(path) is a directory")
        default: break
        }
        let text = VisibleText.of(complaint.trimmingCharacters(in: .whitespacesAndNewlines))
            .replacingOccurrences(of: VolumeScript.place + "/", with: "/")
        if complaint.contains("No space left") { return VolumeFailure(507, "NO_SPACE", "\(path): \(text)") }
        if complaint.contains("not permitted") { return VolumeFailure(403, "NOT_PERMITTED", "\(path): \(text)") }
        return VolumeFailure(500, "INTERNAL", "\(path): \(text)")
    }
}
