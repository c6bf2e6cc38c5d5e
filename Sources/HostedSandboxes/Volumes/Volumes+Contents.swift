import CurlClient
import DeploymentCore
import E2BProtocol
import Sandboxes
import Waiting

extension Volumes {
    /// The deepest list.
    public static let maximumDepth = 10
    private static let user: Int64 = 1000

    /// What is at a path; of a link, the link.
    ///
    /// - Throws: `VolumeFailure`, as all calls for contents.
    public func entry(_ id: String, _ path: VolumePath) async throws -> VolumeEntry {
        try await one(id, path, VolumeScript.command(.stat, path.text))
    }

    /// What a folder holds, so many levels deep, by path.
    public func entries(_ id: String, _ path: VolumePath, depth: Int) async throws -> [VolumeEntry] {
        guard depth <= Self.maximumDepth else {
            throw VolumeFailure(400, "DEPTH_OUT_OF_RANGE", "depth must be between 1 and \(Self.maximumDepth)")
        }
        let command = VolumeScript.command(.list, path.text, ["", "", "\(max(1, depth))"])
        let found = try await work(id).run(command, on: path.text)
        return try VolumeScript.entries(found, below: path.text).sorted { $0.path < $1.path }
    }

    /// Makes a folder of the sandboxes' user, unless somebody else is named.
    ///
    /// - Parameter force: makes those above it too, and takes one that is there.
    public func makeFolder(
        _ id: String, _ path: VolumePath, _ attributes: VolumeAttributes, force: Bool
    ) async throws -> VolumeEntry {
        let command = VolumeScript.command(
            .folder, path.text, Self.arguments(attributes, mode: 0o755), force: force)
        return try await one(id, path, command)
    }

    /// Changes owner, group and permissions, those that are named.
    public func change(_ id: String, _ path: VolumePath, _ attributes: VolumeAttributes) async throws -> VolumeEntry {
        let arguments = [
            attributes.user.map { "\($0)" }, attributes.group.map { "\($0)" },
            attributes.mode.map { String($0, radix: 8) },
        ]
        return try await one(id, path, VolumeScript.command(.change, path.text, arguments.map { $0 ?? "" }))
    }

    /// Removes a file, or a folder with all that is in it.
    public func remove(_ id: String, _ path: VolumePath) async throws {
        _ = try await work(id).run(VolumeScript.command(.remove, path.text), on: path.text)
    }

    /// Writes a file, which appears whole or not at all, of the sandboxes' user unless somebody else is named.
    ///
    /// - Parameters:
    ///   - force: replaces one that is there, and makes the folders above it.
    ///   - content: delivers the bytes.
    public func write(
        _ id: String, _ path: VolumePath, _ attributes: VolumeAttributes, force: Bool,
        _ content:
            @escaping @Sendable (_ deliver: @escaping @Sendable ([UInt8]) async throws -> Void) async throws -> Void
    ) async throws -> VolumeEntry {
        let arguments = Self.arguments(attributes, mode: 0o644)
        let work = try await work(id)
        let draft: String
        do {
            draft = try await work.place(
                VolumeScript.command(.write, path.text, arguments, force: force), on: path.text)
        } catch {
            // A client that is still sending hears of it only then.
            try await content { _ in }
            throw error
        }
        do {
            try await work.upload(content, to: draft)
            let command = VolumeScript.command(.write, path.text, arguments, force: force, draft: draft)
            return try Self.one(try await work.run(command, on: path.text), path)
        } catch {
            try? await uncancelled { _ = try await work.run(["/bin/rm", "-f", "--", draft], on: path.text) }
            throw error
        }
    }

    /// Opens a file.
    public func read(_ id: String, _ path: VolumePath) async throws -> VolumeDownload {
        let work = try await work(id)
        let answer = try await work.open(try await work.place(VolumeScript.command(.locate, path.text), on: path.text))
        guard answer.response.status == 200 else {
            answer.cancel()
            let isGone = answer.response.status == 404
            throw VolumeFailure(
                isGone ? 404 : 500, isGone ? "PATH_NOT_FOUND" : "INTERNAL",
                "\(VisibleText.of(path.text)) cannot be read")
        }
        return VolumeDownload(answer: answer, stay: work.stay)
    }

    private func one(_ id: String, _ path: VolumePath, _ command: [String]) async throws -> VolumeEntry {
        try Self.one(try await work(id).run(command, on: path.text), path)
    }

    private static func one(_ bytes: [UInt8], _ path: VolumePath) throws -> VolumeEntry {
        guard let entry = try VolumeScript.entries(bytes, below: path.text).first else {
            throw VolumeFailure(404, "PATH_NOT_FOUND", "there is no \(VisibleText.of(path.text))")
        }
        return entry
    }

    private static func arguments(_ attributes: VolumeAttributes, mode: Int64) -> [String] {
        [
            "\(attributes.user ?? user)", "\(attributes.group ?? user)",
            String(attributes.mode ?? mode, radix: 8),
        ]
    }
}

/// A file of a volume on its way out.
public struct VolumeDownload: Sendable {
    private let answer: OpenResponse
    private let stay: VolumeKeepers.Stay

    init(answer: OpenResponse, stay: VolumeKeepers.Stay) {
        self.answer = answer
        self.stay = stay
    }

    /// The bytes that come; nil when that is not known.
    public var length: Int? { answer.response.headers["Content-Length"].flatMap { Int($0) } }

    /// Delivers the file, only as fast as it is taken.
    public func send(_ deliver: ([UInt8]) async throws -> Void) async throws {
        for try await chunk in answer.response.body { try await deliver(chunk) }
    }
}
