import Crypto
import CurlClient
import DeploymentCore
import Foundation
import Glibc
import HostDisk

/// One download: a part file that grows over attempts, and what the server said about the version it is a part of.
final class Download: @unchecked Sendable {
    /// How often a transfer is taken up again.
    static let attemptLimit = 20
    /// How many attempts in a row may bring nothing.
    static let fruitlessLimit = 2
    /// The longest one transfer may take.
    static let timeout = Duration.seconds(6 * 3_600)
    /// The longest somebody else's download of the same URL is waited for.
    static let waitLimit = Duration.seconds(6 * 3_600)
    /// How often a part that somebody else has is asked for again.
    static let pollInterval = Duration.milliseconds(100)
    /// How long parts are kept, in seconds.
    static let keptSeconds = 7 * 86_400

    /// Bytes in the part file.
    private(set) var size: Int64 = 0
    private let store: BlobStore
    private let url: String
    private let sha256: String?
    private let policy: AddressPolicy
    private let progress: @Sendable (Int64, Int64?) -> Void
    private let part: String
    private let file: Int32
    private var hasher = SHA256()
    private var isResumedUnchecked = false

    private init(
        store: BlobStore, url: String, sha256: String?, policy: AddressPolicy, part: String, file: Int32,
        progress: @escaping @Sendable (Int64, Int64?) -> Void
    ) {
        self.store = store
        self.url = url
        self.sha256 = sha256
        self.policy = policy
        self.progress = progress
        self.part = part
        self.file = file
    }

    /// Takes the URL's part file for itself, waiting for whoever has it; with the blob when the other one got it.
    static func begin(
        store: BlobStore, url: String, sha256: String?, policy: AddressPolicy,
        progress: @escaping @Sendable (Int64, Int64?) -> Void
    ) async throws -> (download: Download, fetched: Blob?) {
        let part = "\(store.folder)/downloads/\(SHA256.hash(data: Data(url.utf8)).hex).part"
        let before = Disk.stamp(notes(of: part))
        let deadline = ContinuousClock.now + waitLimit
        var hasWaited = false
        while true {
            let file = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard file >= 0 else { throw Disk.failure("write", part) }
            let download = Download(
                store: store, url: url, sha256: sha256, policy: policy, part: part, file: file, progress: progress)
            if flock(file, LOCK_EX | LOCK_NB) == 0 {
                // Whoever had it may have renamed it into a blob, which must never be written again.
                guard Disk.isSame(file, part) else { continue }
                if hasWaited, let blob = download.fetched(since: before) {
                    unlink(part)
                    return (download, blob)
                }
                try await blocking { (download.hasher, download.size) = try Disk.hash(file, part) }
                return (download, nil)
            }
            guard ContinuousClock.now < deadline else {
                throw BerthError(
                    .timeout, "\(shown(url)) has been downloaded by somebody else for \(waitLimit.components.seconds) s"
                )
            }
            hasWaited = true
            progress(Disk.size(file), nil)
            try await Task.sleep(for: pollInterval)
        }
    }

    /// What somebody else has fetched while this one waited.
    private func fetched(since before: String?) -> Blob? {
        if let sha256 { return store.claim(sha256) }
        guard Disk.stamp(notes) != before else { return nil }
        return noted?["digest"]?.string.flatMap { store.claim($0) }
    }

    deinit { close(file) }

    /// The URL without what may be a secret: user, password and query.
    static func shown(_ url: String) -> String {
        let withoutQuery = url.prefix { $0 != "?" && $0 != "#" }
        return String(withoutQuery).replacing(/:\/\/[^\/@]*@/, with: "://")
    }

    static func removeOld(in folder: String) {
        for name in Disk.names(in: folder) where (Disk.age("\(folder)/\(name)") ?? 0) > keptSeconds {
            unlink("\(folder)/\(name)")
        }
    }

    /// One request; nil when the part was useless and has to be fetched from its start.
    func attempt() async throws -> Blob? {
        let tag = self.tag
        // A part of another version is only caught by a validator or by the pinned digest.
        if size > 0 && tag == nil && sha256 == nil { try restart() }
        var headers: [(name: String, value: String)] = [("Accept-Encoding", "identity")]
        let known = size == 0 ? knownBlob : nil
        if let known { headers.append(("If-None-Match", known.tag)) }
        if size > 0 {
            headers.append(("Range", "bytes=\(size)-"))
            if let tag { headers.append(("If-Range", tag)) }
            isResumedUnchecked = tag == nil
        }
        var request = HTTPRequest(url: url, headers: headers, timeout: Self.timeout, transport: .network(policy))
        request.redirects = 3
        let isComplete = try await store.curl.withResponse(request) { response in
            if response.status == 304, known != nil { return true }
            return try await self.receive(response)
        }
        if size == 0, let known, isComplete {
            // Written again, so that whoever waits sees that it was asked for.
            try remember(tag: known.tag, digest: known.blob.digest)
            return known.blob
        }
        return isComplete ? try await finish() : nil
    }

    private func receive(_ response: HTTPResponse) async throws -> Bool {
        var total = response.headers["Content-Length"].flatMap { Int64($0) }
        switch response.status {
        case 200:
            if size > 0 { try restart() }
        case 206:
            guard let range = response.headers["Content-Range"],
                let match = range.wholeMatch(of: /bytes (\d+)-\d+\/(\d+|\*)/), Int64(match.1) == size
            else {
                try restart()
                return false
            }
            total = Int64(match.2)
        case 416:
            guard size > 0 else { fallthrough }
            try restart()
            return false
        default:
            throw BerthError(
                .artifact, "\(Self.shown(url)) answered \(response.status)",
                suggestion: response.status == 404 ? "check the URL" : nil)
        }
        if let total, total > store.limit { throw tooLarge }
        try remember(tag: Self.strongTag(response.headers))
        for try await chunk in response.body {
            guard size + Int64(chunk.count) <= store.limit else { throw tooLarge }
            try Disk.write(chunk, to: file, part)
            chunk.withUnsafeBytes { hasher.update(bufferPointer: $0) }
            size += Int64(chunk.count)
            progress(size, total)
        }
        guard total == nil || size == total else {
            throw BerthError(.unreachable, "\(Self.shown(url)) broke off after \(size) of \(total ?? 0) bytes")
        }
        return true
    }

    private var tooLarge: BerthError {
        BerthError(.tooLarge, "\(Self.shown(url)) is larger than \(store.limit) bytes")
    }

    private func finish() async throws -> Blob? {
        let digest = hasher.finalize().hex
        if let sha256, sha256 != digest {
            if isResumedUnchecked {
                isResumedUnchecked = false
                try restart()
                return nil
            }
            unlink(part)
            throw BerthError(
                .artifact, "\(Self.shown(url)) has sha256 \(digest), but \(sha256) is pinned",
                suggestion: "if the change is wanted, pin the new digest")
        }
        let blob = try await blocking { [store, file, part, size] in
            try store.publish(file, at: part, digest: digest, size: size)
        }
        try remember(tag: tag, digest: digest)
        return blob
    }

    private func restart() throws {
        guard ftruncate(file, 0) == 0, lseek(file, 0, SEEK_SET) == 0 else { throw Disk.failure("write", part) }
        hasher = SHA256()
        size = 0
    }

    // MARK: What is remembered of a URL

    private var notes: String { Self.notes(of: part) }
    private static func notes(of part: String) -> String { "\(part.dropLast(5)).json" }
    private var noted: JSONValue? {
        (try? Data(contentsOf: URL(fileURLWithPath: notes))).flatMap { try? JSONValue(parsing: $0) }
    }
    private var tag: String? { noted?["tag"]?.string }

    private var knownBlob: (tag: String, blob: Blob)? {
        guard sha256 == nil, let noted, let tag = noted["tag"]?.string, let digest = noted["digest"]?.string,
            let blob = store.claim(digest)
        else { return nil }
        return (tag, blob)
    }

    private func remember(tag: String?, digest: String? = nil) throws {
        var noted: [String: JSONValue] = ["tag": tag.map { .string($0) } ?? .null]
        noted["digest"] = digest.map { .string($0) }
        try Disk.replace(notes, with: JSONValue.object(noted).encoded(), isSynced: false)
    }

    /// An entity tag that stands for exact bytes; weak ones do not.
    private static func strongTag(_ headers: HTTPHeaders) -> String? {
        headers["ETag"].flatMap { $0.hasPrefix("\"") && $0.utf8.count < 1_024 ? $0 : nil }
    }
}
