import DeploymentCore
import E2BProtocol
import Glibc
import Sandboxes
import Waiting

/// One step of a build, done in its sandbox.
struct BuildStep: Sendable {
    /// The most variables of an image.
    static let maximumVariables = 1024

    let step: TemplateRecipe.Step
    let number: Int
    let count: Int
    let held: HeldSandbox
    let files: ArchiveFolder
    let log: BuildLog

    private var label: String { "[builder \(number)/\(count)]" }

    /// Does the step; whether it can have changed files.
    func perform(on image: inout SandboxImage) async throws -> Bool {
        await log.write("\(label) \(BuildRun.text(step))", step: "\(number)")
        switch step.kind {
        case .environment: return try setVariables(of: &image)
        case .user: return try await setUser(of: &image)
        case .workdir:
            let folder = try argument(0, "a folder")
            let path = Self.absolute(folder, in: image, held)
            try await run(
                ["/bin/sh", "-c", "mkdir -p -- \"$1\" && cd -- \"$1\"", "sh", path], as: image.user, in: nil, [:])
            image.workdir = Self.kept(path, held)
            return true
        case .run:
            let command = try argument(0, "a command")
            let user = step.arguments.count > 1 && !step.arguments[1].isEmpty ? step.arguments[1] : image.user
            try await run(
                ["/bin/bash", "-l", "-c", command], as: user,
                in: image.workdir.map { Self.absolute($0, in: image, held) } ?? Self.home(of: user, held),
                image.environment)
            return true
        case .copy:
            try await copy(into: image)
            return true
        }
    }

    private func setVariables(of image: inout SandboxImage) throws -> Bool {
        guard !step.arguments.isEmpty, step.arguments.count.isMultiple(of: 2) else {
            throw failure("ENV takes names and values in turn")
        }
        for index in stride(from: 0, to: step.arguments.count, by: 2) {
            let (name, value) = (step.arguments[index], step.arguments[index + 1])
            guard !name.isEmpty, !name.contains("="), !(name + value).utf8.contains(0) else {
                throw failure("'\(name)' is not the name of a variable")
            }
            image.environment[name] = value
        }
        guard image.environment.count <= Self.maximumVariables else {
            throw failure("an image has \(Self.maximumVariables) variables at most")
        }
        return false
    }

    private func setUser(of image: inout SandboxImage) async throws -> Bool {
        let user = try argument(0, "a user")
        guard user == "user" || (user == "root" && held.hasRoot) else {
            let reason =
                user == "root"
                ? "sandboxes on this machine have one user and no root; `berth doctor` says why"
                : "sandboxes have the users 'user' and 'root'"
            throw failure("the user '\(user)' does not exist: \(reason)")
        }
        image.user = user
        return false
    }

    /// Runs a command to its end, with its output in the log.
    private func run(
        _ command: [String], as user: String, in folder: String?, _ environment: [String: String]
    ) async throws {
        let step = "\(number)"
        let label = label
        var tail: [UInt8] = []
        let status: ExitStatus?
        do {
            let agent = user == "user" || !held.hasRoot && user == "user" ? held.agent : held.agent.acting(as: user)
            let process = try await agent.start(
                ProcessSpecification(
                    tag: "", command: command, environment: environment, workingDirectory: folder ?? held.home))
            status = try await withDeadline(
                BuildRun.stepLimit, BerthError(.timeout, "the step took longer than \(BuildRun.stepLimit)")
            ) { [log] in
                defer { withExtendedLifetime(process) {} }
                var end: ExitStatus?
                var last: [UInt8] = []
                do {
                    for try await event in process.events {
                        switch event {
                        case .stdout(let bytes):
                            last = (last + bytes).suffix(BuildRun.tail)
                            await log.write(bytes, stream: "stdout", prefix: "\(label) [stdout]: ", step: step)
                        case .stderr(let bytes):
                            last = (last + bytes).suffix(BuildRun.tail)
                            await log.write(bytes, stream: "stderr", prefix: "\(label) [stderr]: ", step: step)
                        case .ended(let status): end = status
                        }
                    }
                } catch {
                    await Task { try? await process.signal(SIGKILL) }.value
                    throw error
                }
                await log.finishLines(prefix: { "\(label) [\($0)]: " }, step: step)
                return Ending(status: end, tail: last)
            }.take(&tail)
        } catch let error as BerthError {
            let text = "\(error)"
            throw failure(text, hint: BuildFailure.hint(text, command: command.last ?? "", hasRoot: held.hasRoot))
        }
        guard status != .exited(code: 0) else { return }
        let text = String(decoding: tail, as: UTF8.self).trimmingSuffix(while: \.isWhitespace)
        throw failure(
            "failed with \(status.map { "\($0)" } ?? "no result"): \(text)",
            hint: BuildFailure.hint(text, command: command.last ?? "", hasRoot: held.hasRoot))
    }

    private struct Ending: Sendable {
        var status: ExitStatus?
        var tail: [UInt8]

        func take(_ tail: inout [UInt8]) -> ExitStatus? {
            tail = self.tail
            return status
        }
    }

    /// Unpacks uploaded files beside their place, and copies them to it.
    private func copy(into image: SandboxImage) async throws {
        let source = try argument(0, "a source")
        let target = try argument(1, "a target")
        let owner = step.arguments.count > 2 && !step.arguments[2].isEmpty ? step.arguments[2] : image.user
        let mode = step.arguments.count > 3 ? step.arguments[3] : ""
        guard mode.isEmpty || (3...4).contains(mode.utf8.count) && mode.utf8.allSatisfy({ (0x30...0x37).contains($0) })
        else { throw failure("'\(mode)' is not a mode") }
        guard let hash = step.files, let archive = files.path(of: hash) else {
            throw failure("the files of COPY \(source) were not uploaded")
        }
        let stage = "\(held.home)/.berth-copy-\(number)"
        do {
            try await CopyScript(held: held).unpack(archive, to: stage)
        } catch let error as BerthError {
            throw failure("the uploaded files cannot be unpacked: \(error)")
        }
        let path = Self.absolute(target, in: image, held) + (target.hasSuffix("/") && target != "/" ? "/" : "")
        try await run(
            ["/bin/bash", "-c", CopyScript.text, "copy", stage, source, path, held.hasRoot ? owner : "", mode],
            as: held.hasRoot ? "root" : "user", in: nil, [:])
    }

    /// A path from `/`, without a slash at its end.
    static func absolute(_ path: String, in image: SandboxImage, _ held: HeldSandbox) -> String {
        let home = home(of: image.user, held)
        var full = path
        if !full.hasPrefix("/"), full != "~", !full.hasPrefix("~/") { full = (image.workdir ?? home) + "/" + full }
        if full == "~" || full.hasPrefix("~/") { full = home + full.dropFirst() }
        var names: [Substring] = []
        for name in full.split(separator: "/") where name != "." {
            if name == ".." { _ = names.popLast() } else { names.append(name) }
        }
        full = "/" + names.joined(separator: "/")
        // Where paths are the host's, the home is another one in each sandbox.
        let usual = "/\(SandboxFiles.home)"
        if held.sharesHost, full == usual || full.hasPrefix(usual + "/") {
            full = held.home + full.dropFirst(usual.count)
        }
        return full
    }

    /// A path as an image keeps it.
    private static func kept(_ path: String, _ held: HeldSandbox) -> String {
        guard held.sharesHost, path == held.home || path.hasPrefix(held.home + "/") else { return path }
        return "~" + path.dropFirst(held.home.count)
    }

    static func home(of user: String, _ held: HeldSandbox) -> String {
        user == "root" && held.hasRoot ? "/root" : held.home
    }

    private func argument(_ index: Int, _ what: String) throws -> String {
        guard step.arguments.count > index, !step.arguments[index].isEmpty, !step.arguments[index].utf8.contains(0)
        else {
            throw failure("\(step.kind.rawValue) takes \(what)")
        }
        return step.arguments[index]
    }

    private func failure(_ message: String, hint: String? = nil) -> BuildFailure {
        BuildFailure(
            message: "\(label) \(BuildRun.text(step)): \(message)" + (hint.map { "; \($0)" } ?? ""), step: "\(number)")
    }
}

extension String {
    func trimmingSuffix(while predicate: (Character) -> Bool) -> String {
        var text = self[...]
        while let last = text.last, predicate(last) { text.removeLast() }
        return String(text)
    }
}
