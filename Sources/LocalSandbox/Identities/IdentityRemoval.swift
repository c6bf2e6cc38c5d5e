import CPlatform
import DeploymentCore
import Glibc

/// Removes what ids of a sandbox own, which a plain user cannot by himself.
enum IdentityRemoval {
    /// The longest that it may take.
    static let limit = Duration.seconds(60)

    /// Empties the folder's parts that belong to the range; does nothing for root, who needs no help.
    ///
    /// It is done by rm(1), as root of a namespace that has the range and us in it; nobody is left in the sandbox.
    static func empty(_ folder: SandboxFolder, of range: IdentityRange) throws {
        guard getuid() != 0, access(folder.home, F_OK) == 0 else { return }
        let output = Descriptor(try check(berth_memory_file("berth-removal"), "no memory file for rm's output"))
        let stage = Stage(
            namespace: try UserNamespace.open(range, needsHelpers: true, withUs: true),
            folder: folder.path, made: [], sources: [folder.path])
        let child = try Child.spawn(
            ["/bin/rm", "-rf", "--one-file-system", "--", "\(Stage.path(of: 0))/home"], environment: [:],
            descriptors: [(output, 2)], stage: stage)
        let status = child.wait(limit: limit)
        if status == nil {
            child.kill()
            _ = child.wait(limit: limit)
        }
        guard status == .exited(code: 0) else {
            throw BerthError(
                .sandbox, "the files of sandbox \(folder.id) cannot be removed: \(NamespaceTrial.text(output))")
        }
    }
}
