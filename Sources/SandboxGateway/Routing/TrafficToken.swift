import NIOHTTP1

/// What opens the ports of a sandbox that is not public.
enum TrafficToken {
    /// Whether a request shows the token, exactly once; takes as long for a wrong one as for the right one.
    static func opens(_ headers: HTTPHeaders, token: String) -> Bool {
        let shown = headers[Rewriting.trafficField]
        guard shown.count == 1 else { return false }
        let given = Array(shown[0].utf8)
        let wanted = Array(token.utf8)
        guard !wanted.isEmpty else { return false }
        var difference = UInt8(given.count == wanted.count ? 0 : 1)
        for index in wanted.indices { difference |= wanted[index] ^ (index < given.count ? given[index] : 0) }
        return difference == 0
    }
}
