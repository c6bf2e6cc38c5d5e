import DeploymentCore
import Sandboxes

extension LocalProvider {
    /// Starts an agent on the host's own paths and ports; it puts up its walls itself, before it serves.
    func spawnOnSharedHost(
        _ state: SandboxState, _ specification: SandboxSpecification, environment: [String: String],
        agentArguments: [String], descriptors: [(Descriptor, Int32)], entrance: GroupEntrance?
    ) throws -> Child {
        let folder = sandboxFolder(state.id)
        let scratch = "\(folder.path)/tmp"
        try makeFolder(scratch, mode: 0o700)
        if try MountRules.copyIntoHome(specification.mounts, home: folder.home) {
            announce("without namespaces, model files are copied into the sandbox")
        }
        var environment = environment
        environment["TMPDIR"] = scratch
        var arguments = [agent] + agentArguments + ["--allow-host-paths", "--env", "TMPDIR=\(scratch)"]
        switch state.isolation {
        case .process: arguments += ["--walls", "process"]
        default:
            arguments += ["--walls", "landlock", "--port", "\(state.port)"]
            for path in [folder.home, scratch] { arguments += ["--writable", path] }
            for mount in specification.mounts where MountRules.place(of: mount, home: folder.home) == nil {
                arguments += ["--readable", mount.source]
            }
        }
        return try Child.spawn(
            arguments, environment: environment, folder: folder.home, descriptors: descriptors, entrance: entrance)
    }
}
