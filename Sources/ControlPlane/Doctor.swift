import AppTemplates
import CurlClient
import DeploymentCore
import Environments
import Foundation
import LocalSandbox

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
        checks += await isolation()
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

    private func isolation() async -> [Check] {
        let client = CurlClient()
        defer { client.close() }
        let reports = await LocalEngine(agent: configuration.agent, client: client).probe()
        // Strongest first, so that the first one that works is what sandboxes get.
        let used = configuration.isolation ?? reports.first { $0.works && !$0.isolation.isOnRequest }?.isolation
        return reports.map { report in
            let isBare = report.isolation == .process && used == .process
            let weak = report.works ? isBare : report.isolation != .process
            return Check(
                name: "isolation \(report.isolation.rawValue)", verdict: weak ? .weak : report.works ? .good : .bad,
                finding: report.isolation == used ? "\(report.detail); sandboxes get this" : report.detail,
                remedy: report.suggestion)
        }
    }

    private func python() async -> [Check] {
        do {
            let uv = try Uv.locate(home: configuration.home, environment: ProcessInfo.processInfo.environment)
            let interpreter = try await uv.interpreter(nil)
            return [
                Check(name: "uv", verdict: .good, finding: uv.executable),
                Check(name: "python", verdict: .good, finding: "\(interpreter.version) at \(interpreter.path)"),
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
