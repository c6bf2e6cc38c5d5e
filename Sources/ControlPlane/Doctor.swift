import AppTemplates
import CurlClient
import DeploymentCore
import Environments
import Foundation
import LocalSandbox
import Sandboxes

/// What a machine can do, found by doing it.
public struct Doctor: Sendable {
    private let configuration: Configuration

    /// Examines for this configuration.
    public init(configuration: Configuration) {
        self.configuration = configuration
    }

    /// One thing that was tried.
    public struct Check: Codable, Sendable, Equatable {
        /// What was tried.
        public var name: String
        /// How it went.
        public var verdict: Verdict
        /// What was found.
        public var finding: String
        /// How to make it better.
        public var remedy: String?
    }

    /// How a trial went.
    public enum Verdict: String, Codable, Sendable {
        case good
        /// Berth works, with less than it could.
        case weak
        case bad
    }

    /// Tries everything once.
    public func examine() async -> [Check] {
        var checks = [home()]
        let rungs = await rungs()
        checks += isolation(rungs)
        checks += network(rungs)
        checks += await python()
        checks.append(templates())
        return checks
    }

    private func home() -> Check {
        let probe = configuration.path(".doctor-\(getpid())")
        do {
            try FileManager.default.createDirectory(
                atPath: configuration.home, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            try Data("probe".utf8).write(to: URL(fileURLWithPath: probe))
            try FileManager.default.removeItem(atPath: probe)
            let attributes = try FileManager.default.attributesOfFileSystem(forPath: configuration.home)
            let free = (attributes[.systemFreeSize] as? Int64 ?? 0) >> 30
            return Check(
                name: "home", verdict: free < 2 ? .weak : .good, finding: "\(configuration.home), \(free) GiB free",
                remedy: free < 2 ? "free some space: environments need a few hundred MB each" : nil)
        } catch {
            return Check(
                name: "home", verdict: .bad, finding: "\(configuration.home) cannot be written: \(error)",
                remedy: "set BERTH_HOME to a folder of yours")
        }
    }

    private func rungs() async -> [RungReport] {
        let client = CurlClient()
        defer { client.close() }
        return await LocalEngine(agent: configuration.agent, client: client).probe()
    }

    /// What sandboxes get; the reports come strongest first.
    private func used(_ reports: [RungReport]) -> Isolation? {
        configuration.isolation ?? reports.first { $0.works && !$0.isolation.isOnRequest }?.isolation
    }

    private func ids() -> Check {
        let identities = LocalEngine.identities(isGranted: configuration.grantsIdentities)
        return Check(
            name: "ids", verdict: identities.works ? .good : .weak, finding: "sandboxes have \(identities.detail)",
            remedy: identities.suggestion)
    }

    private func network(_ reports: [RungReport]) -> [Check] {
        guard let used = used(reports) else { return [] }
        let remedy = "what lets namespaces work also lets `network` be chosen"
        switch NetworkEnforcement(used) {
        case .filtered:
            return [
                Check(
                    name: "network", verdict: .good,
                    finding: "an app reaches nothing but what `network` in its manifest opens")
            ]
        case .closed:
            return [
                Check(
                    name: "network", verdict: .weak, finding: "an app reaches nothing, and nothing can be opened",
                    remedy: remedy)
            ]
        case .open:
            return [
                Check(
                    name: "network", verdict: .weak, finding: "an app reaches whatever this machine reaches",
                    remedy: remedy)
            ]
        }
    }

    private func isolation(_ reports: [RungReport]) -> [Check] {
        let used = used(reports)
        let rungs = reports.map { report in
            let isBare = report.isolation == .process && used == .process
            let weak = report.works ? isBare : report.isolation != .process
            return Check(
                name: "isolation \(report.isolation.rawValue)", verdict: weak ? .weak : report.works ? .good : .bad,
                finding: report.isolation == used ? "\(report.detail); sandboxes get this" : report.detail,
                remedy: report.suggestion)
        }
        return used == .namespaces ? rungs + [ids()] : rungs
    }

    private func python() async -> [Check] {
        do {
            let uv = try Uv.locate(home: configuration.home, environment: ProcessInfo.processInfo.environment)
            let interpreter = try await uv.interpreter(nil)
            let isWalled = try await ProgramWalls.find() != nil
            return [
                Check(name: "uv", verdict: .good, finding: uv.executable),
                Check(name: "python", verdict: .good, finding: "\(interpreter.version) at \(interpreter.path)"),
                Check(
                    name: "installing", verdict: isWalled ? .good : .weak,
                    finding: isWalled
                        ? "behind walls: wheels only, no files but its own, no other processes"
                        : "wheels only, but with your files in sight, as namespaces are blocked"),
            ]
        } catch let error as BerthError {
            return [Check(name: "python", verdict: .bad, finding: error.message, remedy: error.suggestion)]
        } catch {
            return [Check(name: "python", verdict: .bad, finding: "\(error)")]
        }
    }

    private func templates() -> Check {
        do {
            let catalog = try TemplateCatalog(folder: configuration.templates)
            return Check(
                name: "templates", verdict: .good,
                finding: "\(catalog.names.count) in \(configuration.templates)")
        } catch {
            return Check(
                name: "templates", verdict: .bad, finding: "\(error)", remedy: "set BERTH_TEMPLATES to the folder")
        }
    }
}
