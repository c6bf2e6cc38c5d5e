import CPlatform
import DeploymentCore
import Foundation
import Glibc

/// Whether sandboxes can have ids of their own here, found by building the walls around /bin/true with some.
struct IdentityOffer: Sendable {
    /// What the host grants; nil where a sandbox has one user.
    let grant: IdentityGrant?
    /// What was found, in words.
    let detail: String
    let suggestion: String?

    private static let offers = Locked<[String: IdentityOffer]>([:])

    /// What this process's first trial with this executable found.
    static func cached(_ bubblewrap: String?) -> IdentityOffer {
        if let offer = offers.withLock({ $0[bubblewrap ?? ""] }) { return offer }
        let offer = run(bubblewrap)
        offers.withLock { $0[bubblewrap ?? ""] = offer }
        return offer
    }

    /// None, because somebody said so.
    static let refused = IdentityOffer(
        grant: nil, detail: "one user: BERTH_IDS is off", suggestion: "start berth without BERTH_IDS=off")

    private static func run(_ bubblewrap: String?) -> IdentityOffer {
        guard let bubblewrap else {
            return IdentityOffer(grant: nil, detail: "one user: there is no bubblewrap", suggestion: nil)
        }
        let name = getpwuid(getuid()).flatMap { $0.pointee.pw_name }.map { String(cString: $0) }
        let grant = IdentityGrant.find(
            user: getuid(), name: name, subuid: KernelFile.text("/etc/subuid") ?? "",
            subgid: KernelFile.text("/etc/subgid") ?? "", userMap: KernelFile.text("/proc/self/uid_map") ?? "",
            groupMap: KernelFile.text("/proc/self/gid_map") ?? "")
        guard let grant else {
            return IdentityOffer(
                grant: nil, detail: "one user: the host grants no ids to \(name ?? "this user")",
                suggestion: suggestion(name))
        }
        if grant.needsHelpers, UserNamespace.missingHelper != nil {
            return IdentityOffer(
                grant: nil, detail: "one user: newuidmap and newgidmap are not installed", suggestion: suggestion(name))
        }
        do {
            try tryOut(grant, bubblewrap)
        } catch {
            return IdentityOffer(
                grant: nil, detail: "one user: \(error)", suggestion: (error as? BerthError)?.suggestion)
        }
        let span = "\(grant.users.first) to \(grant.users.first + UInt32(grant.ranges) * IdentityRange.count - 1)"
        let sharing = grant.ranges == 1 ? ", the same for all sandboxes" : ", \(IdentityRange.count) for each sandbox"
        let exception = grant.needsHelpers ? "; with a disk limit they have one user" : ""
        return IdentityOffer(
            grant: grant, detail: "ids of their own, \(span)\(sharing); root inside is nobody outside\(exception)",
            suggestion: nil)
    }

    private static func suggestion(_ name: String?) -> String? {
        if getuid() == 0 {
            return "this root has too few ids of its own, as in a container: give it \(IdentityRange.count) more, and "
                + "name them in /etc/subuid and /etc/subgid"
        }
        let ids = "--add-subuids 100000-165535 --add-subgids 100000-165535"
        return "apt install uidmap, and usermod \(ids) \(name ?? "\(getuid())") as root, with ids that nobody else has"
    }

    private static func tryOut(_ grant: IdentityGrant, _ bubblewrap: String) throws {
        let output = Descriptor(
            try check(berth_memory_file("berth-trial"), "no memory file for bubblewrap's output"))
        let filter = Descriptor(
            try check(berth_filter_file(BERTH_FILTER_COMMON), "no filter of system calls for bubblewrap"))
        let range = grant.range(0)
        let stage = Stage(
            namespace: try UserNamespace.open(range, needsHelpers: grant.needsHelpers),
            folder: "/", made: [], sources: [])
        let child = try Child.spawn(
            BubblewrapCommand(program: bubblewrap, hasIdentities: true).trial(), environment: [:],
            descriptors: [(output, 2), (filter, BubblewrapCommand.trialFilterNumber)], stage: stage)
        let status = child.wait(limit: NamespaceTrial.timeout)
        if status == nil {
            child.kill()
            _ = child.wait(limit: NamespaceTrial.timeout)
        }
        guard status == .exited(code: 0) else {
            let end = status.map { "\($0)" } ?? "not within \(NamespaceTrial.timeout)"
            throw BerthError(.sandbox, "bubblewrap with ids ends with \(end): \(NamespaceTrial.text(output))")
        }
    }
}
