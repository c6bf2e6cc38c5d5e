import DeploymentCore
import HostDisk

extension Uv {
    /// Resolves the inputs into a lock for this machine, from wheels only: nothing of a package is run.
    ///
    /// A lock that is given is taken as it is; what a template needs beyond it is added.
    /// - Throws: `dependencies` with the conflict in one sentence; uv's own text is the cause.
    public func lock(_ inputs: LockInputs) async throws -> Lock {
        let digest = try inputs.digest()
        let interpreter = try await interpreter(inputs.python)
        var question = Question()
        switch inputs.requirements {
        case .none: break
        case .list(let list):
            for line in list { question.requirements.append(try RequirementsText.requirement(line).line) }
        case .file(let path):
            switch try await source(LockInputs.resolve(path, in: inputs.folder)) {
            case .lock(let given):
                let added = try await additions(to: given, inputs, interpreter)
                return try Lock(
                    pins: given.pins + added, options: given.options, python: interpreter.version, inputs: digest)
            case .question(let asked): question = asked
            }
        }
        question.requirements += inputs.template
        if question.isEmpty { return try Lock(pins: [], options: [], python: interpreter.version, inputs: digest) }
        let resolved = try Lock(parsing: try await compile(question, inputs, interpreter))
        return try Lock(
            pins: resolved.pins, options: question.options.filter { !$0.hasSuffix("https://pypi.org/simple") },
            python: interpreter.version, inputs: digest)
    }

    /// What uv is asked to resolve, in words that we have read or made.
    private struct Question {
        var requirements: [String] = []
        var constraints: [String] = []
        var overrides: [String] = []
        var options: [String] = []
        var project: String?
        var flags: [String] = []

        var isEmpty: Bool { requirements.isEmpty && project == nil }
    }

    private enum Source {
        case lock(Lock)
        case question(Question)
    }

    /// What the template needs and a given lock does not have; its own pins stay as they are.
    private func additions(
        to given: Lock, _ inputs: LockInputs, _ interpreter: Interpreter
    ) async throws -> [Lock.Pin] {
        if inputs.template.isEmpty { return [] }
        let question = Question(requirements: given.pins.map(\.requirement) + inputs.template, options: given.options)
        let text = try await compile(question, inputs, interpreter)
        let known = Set(given.pins.map(\.name))
        return try Lock(parsing: text).pins.filter { !known.contains($0.name) }
    }

    private func source(_ path: String) async throws -> Source {
        switch path.lastName {
        case "pyproject.toml":
            let text = try LockInputs.read(path)
            try Self.checkProject(text)
            return .question(Question(overrides: try ProjectOverrides.read(text), project: path))
        case "uv.lock":
            // `--no-config`, because the settings beside it are as little trusted as the rest of the folder.
            let result = try await run(
                [
                    "export", "--quiet", "--frozen", "--no-config", "--no-header", "--no-annotate",
                    "--no-emit-project", "--no-dev", "--format", "requirements-txt",
                ], in: path.parentPath, timeout: Self.lockTimeout)
            guard result.isSuccess else {
                throw BerthError(
                    .dependencies, "uv.lock cannot be exported", suggestion: "is its pyproject.toml beside it?",
                    cause: UvFailure(result.text))
            }
            return .lock(try Lock(parsing: result.output))
        case let name where LockInputs.isProject(path):
            throw BerthError(
                .dependencies, "\(name) is not a requirements file berth can read",
                suggestion: "export it to a requirements.txt, or use pyproject.toml or uv.lock")
        default:
            let files = try LockInputs.files(from: path)
            if files.count == 1, let lock = try? Lock(parsing: files[0].text), !lock.pins.isEmpty { return .lock(lock) }
            var question = Question()
            for file in files {
                for item in file.content?.items.map(\.item) ?? [] {
                    switch item {
                    case .requirement(let line) where file.isConstraint: question.constraints.append(line.text)
                    case .requirement(let line): question.requirements.append(line.line)
                    case .index(let option):
                        if !question.options.contains(option) { question.options.append(option) }
                    case .include: break
                    }
                }
            }
            return .question(question)
        }
    }

    /// Refuses what would silently be resolved from elsewhere than the project says, or from version control.
    private static func checkProject(_ text: String) throws(BerthError) {
        for line in text.split(whereSeparator: \.isNewline) {
            let line = line.drop { $0 == " " || $0 == "\t" }
            if line.hasPrefix("#") { continue }
            guard line.firstMatch(of: /^\[+\s*tool\s*\.\s*uv\s*\.\s*(sources|index)\b/) == nil else {
                throw BerthError(
                    .dependencies,
                    "pyproject.toml has \(VisibleLine.of(String(line))), which may lead to code that is "
                        + "built on this machine", suggestion: "commit uv.lock and name it in `requirements`")
            }
            guard !line.contains("git+") else {
                throw BerthError(
                    .dependencies, "pyproject.toml has a requirement from git",
                    suggestion: "berth installs wheels only, from an index or a https:// URL")
            }
        }
    }

    private func compile(_ question: Question, _ inputs: LockInputs, _ interpreter: Interpreter) async throws -> String
    {
        var question = question
        var files: [String] = []
        defer { for file in files { Disk.remove(file) } }
        for (flag, lines) in [("constraints", question.constraints), ("overrides", question.overrides)]
        where !lines.isEmpty {
            try Disk.makeFolder(cache)
            let path = "\(cache)/\(flag)-\(UInt64.random(in: 0 ... .max)).txt"
            files.append(path)
            try Disk.replace(path, with: lines.flatMap { "\($0)\n".utf8 }, isSynced: false)
            question.flags += ["--\(flag)", path]
        }
        let result = try await run(question, interpreter, nil, timeout: Self.lockTimeout)
        if result.isSuccess { return result.output }
        if Disk.isFull(result.text) { throw Disk.full(cache, cause: UvFailure(result.text)) }
        var failure = ResolutionFailure(text: result.text, inputs: inputs, python: interpreter)
        if let requirement = failure.requirementWithoutWheel {
            failure.fittingPythons = await fitting(requirement, interpreter)
        }
        throw failure.error
    }

    /// Runs in `/`: uv reads settings, and with them `no-binary`, from the folders above the one it runs in, and a
    /// setting there overrides `--only-binary :all:`. For the same reason `tool.uv.sources` of a project is left out:
    /// an editable source is built whatever else is said.
    private func run(
        _ question: Question, _ interpreter: Interpreter, _ pythonVersion: String?, timeout: Duration
    ) async throws -> ProgramResult {
        var all = ["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate", "--no-sources"]
        all += ["--only-binary", ":all:", "--python", interpreter.path]
        if let pythonVersion { all += ["--python-version", pythonVersion] }
        all += question.flags
        for option in question.options { all += option.split(separator: " ").map(String.init) }
        if let project = question.project { all.append(project) }
        if !question.requirements.isEmpty { all.append("-") }
        return try await run(
            all, in: "/", input: question.requirements.map { $0 + "\n" }.joined(), timeout: timeout)
    }

    /// The Python versions that a requirement has wheels for; asked only to explain a failure.
    private func fitting(_ requirement: String, _ interpreter: Interpreter) async -> [String] {
        guard let line = try? RequirementsText.requirement(requirement) else { return [] }
        let question = Question(requirements: [line.text], flags: ["--no-deps"])
        var found: [String] = []
        for minor in Self.triedMinors where "3.\(minor)" != interpreter.minor {
            let result = try? await run(question, interpreter, "3.\(minor)", timeout: Self.queryTimeout)
            if result?.isSuccess == true { found.append("3.\(minor)") }
        }
        return found
    }

    private static let triedMinors = 8...14
}
