import CurlClient
import DeploymentCore

extension BlobStore {
    /// Fetches a URL into the store, resuming what an earlier attempt has left.
    ///
    /// While somebody else fetches the same URL it waits, and then takes what has come.
    /// - Parameters:
    ///   - url: `https` only, also after redirects (at most three); other policies are for tests.
    ///   - sha256: The pinned digest; with it a blob that is here is taken without asking the network.
    ///   - policy: Which addresses may be connected to.
    ///   - progress: Bytes so far and in all, when the server says so.
    /// - Throws: `artifact` for a refusal or a wrong digest (naming both), `unreachable`, `timeout`, `too_large`,
    ///   `storage_full`.
    public func download(
        _ url: String, sha256: String? = nil, policy: AddressPolicy = .publicOnly,
        progress: @escaping @Sendable (_ received: Int64, _ total: Int64?) -> Void = { _, _ in }
    ) async throws -> Blob {
        if let sha256, let known = claim(sha256) { return known }
        guard url.hasPrefix("https://") || policy != .publicOnly else {
            throw BerthError(.artifact, "`\(Download.shown(url))` is not an https:// URL")
        }
        let (download, fetched) = try await Download.begin(
            store: self, url: url, sha256: sha256, policy: policy, progress: progress)
        if let fetched { return fetched }
        var fruitless = 0
        for _ in 1...Download.attemptLimit {
            let before = download.size
            do {
                if let blob = try await download.attempt() { return blob }
            } catch let error as BerthError where [.unreachable, .timeout].contains(error.code) {
                // A connection that broke after it brought something is worth another one at once.
                fruitless = download.size > before ? 0 : fruitless + 1
                guard fruitless < Download.fruitlessLimit else { throw error }
            }
        }
        throw BerthError(
            .unreachable, "\(Download.shown(url)) broke off \(Download.attemptLimit) times",
            suggestion: "run it again: what has arrived is kept")
    }
}
