import DeploymentCore
import Foundation

extension Uv {
    /// Resolves the inputs into a lock for this machine, from wheels only: nothing of a package is run.
    ///
    /// A lock that is given is taken as it is; what a template needs beyond it is added.
    /// - Throws: `dependencies` with the conflict in one sentence; uv's own text is the cause.
    public func lock(_ inputs: LockInputs) async throws -> Lock {
        let digest = try inputs.digest()
        let interpreter = try await interpreter(inputs.python)
        var arguments: [String] = []
        var lines = inputs.template
        var given: Lock?
        var options: [String] = []
        switch inputs.requirements {
        case .none: break
        case .list(let list):
            if let option = list.first(where: { $0.trimmingCharacters(in: .whitespaces).hasPrefix("-") }) {
                throw BerthError(
                    .dependencies, "`\(option)` is an option, not a requirement",
                    suggestion: "put it into a requirements.txt and name that file in `requirements`")
            }
            lines = list + lines
        case .file(let path):
            let source = try await source(LockInputs.resolve(path, in: inputs.folder))
            given = source.lock
            if given == nil {
                arguments = [source.path]
                options = source.hasIndex ? ["--emit-index-url"] : []
            }
        }
        if let given {
            let added = try await additions(to: given, lines, inputs, interpreter)
            return try Lock(
                pins: given.pins + added, options: given.options, python: interpreter.version, inputs: digest)
        }
        if lines.isEmpty && arguments.isEmpty {
            return try Lock(pins: [], options: [], python: interpreter.version, inputs: digest)
        }
        let text = try await compile(options + arguments, lines, inputs, interpreter)
        let resolved = try Lock(parsing: text)
        return try Lock(
            pins: resolved.pins, options: resolved.options.filter { !$0.hasSuffix("https://pypi.org/simple") },
            python: interpreter.version, inputs: digest)
    }

    /// What the template needs and a given lock does not have; its own pins stay as they are.
    private func additions(
        to given: Lock, _ lines: [String], _ inputs: LockInputs, _ interpreter: Interpreter
    ) async throws -> [Lock.Pin] {
        if lines.isEmpty { return [] }
        let text = try await compile(
            given.options.flatMap(Self.words), given.pins.map(\.requirement) + lines, inputs, interpreter)
        let known = Set(given.pins.map(\.name))
        return try Lock(parsing: text).pins.filter { !known.contains($0.name) }
    }

    private struct Source {
        var path: String
        var lock: Lock?
        var hasIndex = false
    }

    private func source(_ path: String) async throws -> Source {
        let folder = path.parentPath
        switch path.lastName {
        case "pyproject.toml":
            return Source(path: path)
        case "uv.lock":
            let result = try await run(
                [
                    "export", "--quiet", "--frozen", "--no-header", "--no-annotate", "--no-emit-project", "--no-dev",
                    "--format", "requirements-txt",
                ], in: folder, timeout: Self.lockTimeout)
            guard result.isSuccess else {
                throw BerthError(
                    .dependencies, "uv.lock cannot be exported", suggestion: "is its pyproject.toml beside it?",
                    cause: UvFailure(result.text))
            }
            return Source(path: path, lock: try Lock(parsing: result.output))
        case let name where ["poetry.lock", "Pipfile", "Pipfile.lock", "environment.yml", "setup.py"].contains(name):
            throw BerthError(
                .dependencies, "\(name) is not a requirements file berth can read",
                suggestion: "export it to a requirements.txt, or use pyproject.toml or uv.lock")
        default:
            let files = try LockInputs.files(from: path)
            let hasIndex = files.contains { $0.text.contains(/(?m)^\s*(-i|--index-url|--extra-index-url)\b/) }
            let lock = files.count == 1 ? try? Lock(parsing: files[0].text) : nil
            return Source(path: path, lock: lock?.pins.isEmpty == false ? lock : nil, hasIndex: hasIndex)
        }
    }

    private func compile(
        _ arguments: [String], _ lines: [String], _ inputs: LockInputs, _ interpreter: Interpreter
    ) async throws -> String {
        let result = try await run(
            compileArguments(arguments, lines, interpreter, nil), in: inputs.folder,
            input: lines.joined(separator: "\n") + "\n", timeout: Self.lockTimeout)
        if result.isSuccess { return result.output }
        if Disk.isFull(result.text) { throw Disk.full(cache, cause: UvFailure(result.text)) }
        var failure = ResolutionFailure(text: result.text, inputs: inputs, python: interpreter)
        if let requirement = failure.requirementWithoutWheel {
            failure.fittingPythons = await fitting(requirement, inputs, interpreter)
        }
        throw failure.error
    }

    private func compileArguments(
        _ arguments: [String], _ lines: [String], _ interpreter: Interpreter, _ pythonVersion: String?
    ) -> [String] {
        var all = ["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]
        all += ["--only-binary", ":all:", "--python", interpreter.path]
        if let pythonVersion { all += ["--python-version", pythonVersion] }
        all += arguments
        if !lines.isEmpty { all.append("-") }
        return all
    }

    /// The Python versions that a requirement has wheels for; asked only to explain a failure.
    private func fitting(_ requirement: String, _ inputs: LockInputs, _ interpreter: Interpreter) async -> [String] {
        var found: [String] = []
        for minor in Self.triedMinors where "3.\(minor)" != interpreter.minor {
            let result = try? await run(
                compileArguments(["--no-deps"], [requirement], interpreter, "3.\(minor)"), in: inputs.folder,
                input: requirement + "\n", timeout: Self.queryTimeout)
            if result?.isSuccess == true { found.append("3.\(minor)") }
        }
        return found
    }

    /// `--index-url https://…` as the two arguments it is.
    private static func words(_ option: String) -> [String] {
        option.split { $0 == " " || $0 == "=" }.prefix(1).map(String.init)
            + [String(option.drop { $0 != " " && $0 != "=" }.dropFirst()).trimmingCharacters(in: .whitespaces)]
    }

    private static let triedMinors = 8...14
}
