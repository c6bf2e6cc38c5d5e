import CurlClient
import DeploymentCore
import E2BProtocol

extension EnvdClient {
    /// What a folder holds, one level deep; names and paths are the sandbox's word and may be anything.
    ///
    /// - Throws: `not_found`, `sandbox` when it is no folder, `quota` for more entries than an agent lists.
    public func list(_ folder: String) async throws -> [EntryInfo] {
        let reply: ListDirResponse = try await call(.filesystemListDir, ListDirRequest(path: folder, depth: 1))
        return reply.entries
    }

    /// Makes a folder and those above it; one that is there is no error.
    public func makeFolder(_ path: String) async throws {
        do {
            let _: EntryResponse = try await call(.filesystemMakeDir, PathRequest(path: path))
        } catch let error as BerthError where (error.cause as? ConnectError)?.code == .alreadyExists {
            return
        }
    }

    /// Renames a file or a folder, making the folders above its new place.
    ///
    /// - Throws: `not_found` when nothing is there.
    public func move(_ source: String, to destination: String) async throws {
        let _: EntryResponse = try await call(
            .filesystemMove, MoveRequest(source: source, destination: destination))
    }

    /// Removes a file, or a folder with all that is in it; nothing there is no error.
    public func remove(_ path: String) async throws {
        let _: EmptyMessage = try await call(.filesystemRemove, PathRequest(path: path))
    }

    /// Streams a file out of the sandbox.
    ///
    /// - Throws: `not_found` when it does not exist, and what `deliver` throws.
    public func download(
        _ path: String, isolation: isolated (any Actor)? = #isolation, _ deliver: ([UInt8]) async throws -> Void
    ) async throws {
        try await client.withResponse(request("GET", "/files?path=\(Self.escaped(path))", timeout: nil)) { response in
            guard response.status == 200 else {
                throw Self.fileError(response.status, try await response.body.collect(limit: Self.replyLimit), path)
            }
            for try await chunk in response.body { try await deliver(chunk) }
        }
    }
}
