import DeploymentCore
import NIOHTTP1

/// What opens the ports of a sandbox that is not public.
enum TrafficToken {
    /// Whether a request shows the token, exactly once; takes as long for a wrong one as for the right one.
    static func opens(_ headers: HTTPHeaders, token: String) -> Bool {
        let shown = headers[Rewriting.trafficField]
        return shown.count == 1 && !token.isEmpty && ConstantTime.equals(shown[0], token)
    }
}
