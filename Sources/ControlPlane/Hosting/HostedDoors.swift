import DeploymentCore
import E2BProtocol
import HostedSandboxes
import SandboxGateway
import Sandboxes

/// The way from the gateway of sandboxes to those who own them.
struct HostedDoors: SandboxDoors {
    let host: SandboxHost

    func door(of sandbox: String) async throws(DoorRefusal) -> SandboxDoor {
        let door: HostedDoor
        do {
            door = try await host.enter(sandbox)
        } catch {
            switch error {
            case .notFound: throw .notFound
            case .transitioning: throw .transitioning
            case .limited(let text): throw .limited(text)
            case .failed(let text): throw .failed(text)
            }
        }
        let inside = door.sandbox
        return SandboxDoor(
            trafficToken: door.trafficToken, maskedHost: door.maskedHost, closed: { await door.ended() },
            connect: { port in
                port == E2BProtocol.HostName.agentPort
                    ? try await inside.connectToAgent() : try await inside.connect(port: port)
            })
    }

    func sandbox(signing request: SignedFileRequest) async -> String? {
        var expiration: Int64?
        if let text = request.expiration {
            guard let second = Int64(text) else { return nil }
            expiration = second
        }
        var found: String?
        // All of them are compared, so that the time tells nothing.
        for (sandbox, token) in await host.agentTokens() {
            let expected = FileSignature.make(
                path: request.path, request.isRead ? .read : .write, user: request.user, token: token,
                expiration: expiration)
            if ConstantTime.equals(request.signature, expected) { found = sandbox }
        }
        return found
    }
}
