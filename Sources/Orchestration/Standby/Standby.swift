import DeploymentCore
import Foundation
import Sandboxes

/// A sandbox whose process has imported what an app imports, and waits to become it.
///
/// The process itself becomes the server: `templates/standby/standby.py` is its other half.
struct Standby: Sendable {
    /// The longest that imports may take, on a tenth of the processor time.
    static let deadline = Duration.seconds(600)
    /// How much may be printed while importing, in bytes.
    static let outputLimit = 1 << 20
    /// The longest list of module names, in bytes.
    static let namesLimit = 1 << 20

    let recipe: StandbyRecipe
    let sandbox: any Sandbox

    /// Makes the sandbox and waits until its process has imported `names`.
    ///
    /// On an error the sandbox of this id may be there; its owner destroys it.
    static func prepare(
        _ recipe: StandbyRecipe, id: String, program: [UInt8], names: [String], provider: any SandboxProvider
    ) async throws -> Standby {
        var specification = recipe.specification
        specification.id = id
        specification.isStandby = true
        let sandbox = try await provider.create(specification)
        try await sandbox.write(program, to: sandbox.standbyProgram, executable: false)
        try await sandbox.write(
            Array(names.joined(separator: "\n").utf8), to: sandbox.importedNames, executable: false)
        let process = try await sandbox.start(
            ProcessSpecification(
                tag: Replica.processTag,
                command: [recipe.python(in: sandbox), sandbox.standbyProgram, sandbox.importedNames],
                environment: recipe.variables(in: sandbox), keepsInputOpen: true))
        try await waitUntilReady(process)
        return Standby(recipe: recipe, sandbox: sandbox)
    }

    private static func waitUntilReady(_ process: any SandboxProcess) async throws {
        var output: [UInt8] = []
        for try await event in process.events {
            switch event {
            case .stdout(let bytes), .stderr(let bytes): output += bytes
            case .ended(let status):
                let text = VisibleText.of(String(decoding: output.suffix(500), as: UTF8.self))
                throw BerthError(.startFailed, "the standby ended with \(status): \(text)")
            }
            if String(decoding: output, as: UTF8.self).contains("{\"berth_standby\"") { return }
            guard output.count < outputLimit else { throw BerthError(.tooLarge, "the standby prints too much") }
        }
        throw BerthError(.unreachable, "the standby's sandbox went away")
    }

    /// Lets the process import more, and waits until it has.
    func importMore(_ names: [String]) async throws {
        let process = try await sandbox.process(tagged: Replica.processTag)
        try await process.write(Self.line(["imports": names]))
        try await Self.waitUntilReady(process)
    }

    /// Fails when the process has ended.
    static func check(_ process: any SandboxProcess) async throws {
        try await process.write(line(["imports": [String]()]))
    }

    /// A message to the process.
    ///
    /// A line feed inside would end it; JSON escapes it in strings and the compact form has no other.
    private static func line(_ message: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        return Array(try encoder.encode(message)) + [UInt8(ascii: "\n")]
    }

    /// Whether a command is one that a standby can become: a Python script.
    static func canBecome(_ command: [String]) -> Bool {
        command.count > 1 && command[0] == "python" && command[1].hasSuffix(".py") && !command[1].hasPrefix("-")
    }

    /// What the process is told in order to become the app.
    struct Role: Encodable {
        /// The script and its arguments.
        var command: [String]
        /// The working directory.
        var folder: String
        var environment: [String: String]
        /// Where each model file is, by the place where the app looks for it.
        var links: [String: String]

        func line() throws -> [UInt8] { try Standby.line(self) }
    }
}

extension Sandbox {
    /// The home folder, which the app folder lies in.
    private var home: String { String(appFolder[..<(appFolder.lastIndex(of: "/") ?? appFolder.endIndex)]) }
    /// Where the app leaves the names of the modules it imported.
    var importedNames: String { "\(home)/.berth-imports" }
    /// Where a standby's program is written.
    var standbyProgram: String { "\(home)/.berth-standby.py" }
}
