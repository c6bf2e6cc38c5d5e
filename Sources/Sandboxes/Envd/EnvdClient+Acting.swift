import E2BProtocol

extension EnvdClient {
    /// The same agent, asked to act as one of the sandbox's users.
    public func acting(as user: String) -> EnvdClient {
        let credentials = String(decoding: Base64.encode(Array("\(user):".utf8)), as: UTF8.self)
        return with("Authorization", "Basic \(credentials)")
    }

    /// The same agent, shown the token that its owner set.
    public func showing(token: String) -> EnvdClient { with("X-Access-Token", token) }

    private func with(_ name: String, _ value: String) -> EnvdClient {
        EnvdClient(
            client: client, baseURL: baseURL, transport: transport,
            headers: headers.filter { $0.name.lowercased() != name.lowercased() } + [(name, value)])
    }
}
