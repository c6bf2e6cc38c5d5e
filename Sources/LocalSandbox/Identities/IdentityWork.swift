import CPlatform
import DeploymentCore
import Glibc

/// Work on what ids of a sandbox own, which a plain user cannot do by himself.
enum IdentityWork {
    /// The longest that it may take.
    static let limit = Duration.seconds(60)

    /// Empties the folder's parts that belong to the range; does nothing for root, who needs no help.
    static func empty(_ folder: SandboxFolder, of range: IdentityRange) throws {
        guard getuid() != 0, access(folder.home, F_OK) == 0 else { return }
        try run(
            ["/bin/rm", "-rf", "--one-file-system", "--", "\(Stage.path(of: 0))/home"], on: folder.path, of: range,
            failure: "the files of sandbox \(folder.id) cannot be removed")
    }

    /// Gives an empty folder of ours to the user of those inside.
    static func give(_ folder: String, to range: IdentityRange) throws {
        if getuid() == 0 {
            let user = IdentityRange.user
            guard lchown(folder, range.users + user, range.groups + user) == 0 else {
                throw BerthError.system(errno, "\(folder) cannot be given to the ids of sandboxes")
            }
            return
        }
        try run(
            ["/bin/chown", "\(IdentityRange.user):\(IdentityRange.user)", "--", Stage.path(of: 0)], on: folder,
            of: range,
            failure: "\(folder) cannot be given to the ids of sandboxes")
    }

    /// Runs a program as root of a namespace that has the range and us in it, and nobody of a sandbox.
    private static func run(
        _ command: [String], on folder: String, of range: IdentityRange, failure: String
    ) throws {
        let output = Descriptor(try check(berth_memory_file("berth-work"), "no memory file for \(command[0])'s output"))
        let stage = Stage(
            namespace: try UserNamespace.open(range, needsHelpers: true, withUs: true),
            folder: folder, made: [], sources: [folder])
        let child = try Child.spawn(command, environment: [:], descriptors: [(output, 2)], stage: stage)
        let status = child.wait(limit: limit)
        if status == nil {
            child.kill()
            _ = child.wait(limit: limit)
        }
        guard status == .exited(code: 0) else {
            throw BerthError(.sandbox, "\(failure): \(NamespaceTrial.text(output))")
        }
    }
}
