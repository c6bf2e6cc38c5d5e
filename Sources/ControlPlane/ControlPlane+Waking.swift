import DeploymentCore
import Sandboxes

extension ControlPlane {
    /// Resumes what an earlier control plane paused: only what answers can be adopted.
    static func wakeSandboxes(of provider: any SandboxProvider) async {
        do {
            for record in try await provider.list()
            where record.isAlive && record.isPaused && !record.labels.isHosted {
                try await provider.adopt(record.id).resume()
            }
        } catch {
            log("a paused sandbox was not resumed: \(error)")
        }
    }
}
