import DeploymentCore

/// From what an app asks for to the addresses that it may be connected with.
struct Destinations: Sendable {
    let limits: EgressLimits
    /// The addresses of a name, for a sandbox.
    let resolve: @Sendable (_ name: String, _ sandbox: String) async throws -> [IPAddress]
    /// The addresses of this machine.
    let own: @Sendable () -> Set<IPAddress>

    /// The addresses, in the order in which they are tried; each has been checked and is connected with as it is.
    func addresses(
        of target: EgressTarget, policy: EgressPolicy, sandbox: String
    ) async -> Result<[IPAddress], EgressProblem> {
        if let problem = policy.refusal(of: target) { return .failure(problem) }
        let found: [IPAddress]
        switch target.host {
        case .address(let address): found = [address]
        case .name(let name):
            do throws(EgressProblem) {
                found = try await lookUp(name, target, sandbox)
            } catch {
                return .failure(error)
            }
        }
        let own = own()
        var refusal: EgressProblem?
        var allowed: [IPAddress] = []
        for address in found.prefix(limits.addresses) {
            if let problem = policy.refusal(of: address, for: target, own: own) {
                refusal = refusal ?? problem
            } else {
                allowed.append(address.unmapped)
            }
        }
        if !allowed.isEmpty { return .success(allowed) }
        return .failure(refusal ?? .unknownName("\(target)", "it has no address"))
    }

    private func lookUp(
        _ name: String, _ target: EgressTarget, _ sandbox: String
    ) async throws(EgressProblem) -> [IPAddress] {
        let (resolve, deadline) = (resolve, limits.lookupDeadline)
        let result = await withTaskGroup(of: Result<[IPAddress], EgressProblem>.self) { group in
            group.addTask {
                do {
                    return .success(try await resolve(name, sandbox))
                } catch let failure as NameLookup.Failure {
                    return .failure(.unknownName("\(target)", failure.reason))
                } catch {
                    return .failure(.lookupTimeout("\(target)"))
                }
            }
            group.addTask {
                try? await Task.sleep(for: deadline)
                return .failure(.lookupTimeout("\(target)"))
            }
            defer { group.cancelAll() }
            return await group.next() ?? .failure(.lookupTimeout("\(target)"))
        }
        return try result.get()
    }
}
