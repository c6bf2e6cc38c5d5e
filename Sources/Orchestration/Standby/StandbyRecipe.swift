import DeploymentCore
import Sandboxes

/// What a standby is good for: everything that is settled once its process runs.
struct StandbyRecipe: Sendable, Equatable {
    /// The sandbox, with the deployment's label and without an id; its mounts are the environment's.
    let specification: SandboxSpecification
    /// Variables of the manifest.
    let variables: [String: String]
    private let environment: BuiltEnvironment

    init(specification: SandboxSpecification, manifest: Manifest, environment: BuiltEnvironment) {
        self.specification = specification
        self.environment = environment
        // One thread per library unless the manifest says more: replicas share the machine, and pools multiply.
        let threads = "\(manifest.resources?.cpu.map { max(1, Int($0.rounded(.up))) } ?? 1)"
        let defaults = [
            "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads,
        ]
        variables = defaults.merging(manifest.env) { _, own in own }
    }

    var deployment: String { specification.labels.deployment }

    /// The Python interpreter inside.
    func python(in sandbox: any Sandbox) -> String { "\(folder(in: sandbox))/bin/python" }

    /// The variables of every process that runs the environment's interpreter.
    func variables(in sandbox: any Sandbox) -> [String: String] {
        let folder = folder(in: sandbox)
        let path = ["PATH": "\(folder)/bin:/usr/local/bin:/usr/bin:/bin"]
        return path.merging(variables) { _, own in own }.merging(["VIRTUAL_ENV": folder]) { $1 }
    }

    private func folder(in sandbox: any Sandbox) -> String {
        if environment.isInside { return environment.folder }
        return sandbox.path(
            of: SandboxSpecification.Mount(source: environment.folder, target: BuiltEnvironment.target))
    }

    static func == (one: Self, other: Self) -> Bool {
        one.specification == other.specification && one.variables == other.variables
            && one.environment.digest == other.environment.digest
    }
}
