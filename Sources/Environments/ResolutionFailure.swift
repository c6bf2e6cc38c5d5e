import DeploymentCore
import Foundation

/// uv's refusal to resolve, turned into one sentence.
struct ResolutionFailure: Sendable {
    var text: String
    var inputs: LockInputs
    var python: Interpreter
    /// The versions that a requirement without wheels would have some for.
    var fittingPythons: [String] = []

    /// The longest message, in characters.
    static let messageLimit = 600

    /// `numpy==1.21.0` when the only trouble is that no wheel fits this Python; nil otherwise.
    var requirementWithoutWheel: String? {
        guard let match = prose.firstMatch(of: /(?:all versions of )?(\S+) (?:has|have) no (?:usable )?wheels/) else {
            return nil
        }
        return String(match.1)
    }

    var error: BerthError {
        let cause = UvFailure(text)
        if let name = prose.firstMatch(of: /Because (\S+) was not found in the package registry/).map({ String($0.1) })
        {
            return BerthError(
                .dependencies, "there is no package named `\(name)`\(place(of: name))",
                suggestion: Self.suggestion(for: name).map { "did you mean \($0)?" }, cause: cause)
        }
        if let requirement = requirementWithoutWheel {
            return withoutWheel(requirement, cause)
        }
        if let match = prose.firstMatch(
            of: /the (?:current|requested) Python version \(([^)]+)\) does not satisfy (Python\S+) and (\S+)/)
        {
            let bound = String(match.2)
            return BerthError(
                .dependencies, "\(match.3) needs \(bound), but the app would run on Python \(match.1)",
                suggestion: "set `python` to a version that satisfies \(bound)", cause: cause)
        }
        if let match = prose.firstMatch(of: /(there (?:is|are) (?:only|no)[^,]*?) and you require (\S+?),/) {
            return BerthError(
                .dependencies, "\(match.1)\(place(of: Self.name(of: String(match.2))))",
                suggestion: "change the version of \(Self.name(of: String(match.2)))", cause: cause)
        }
        if prose.contains("we can conclude") {
            let facts = self.facts.joined(separator: "; ")
            return BerthError(
                .dependencies, "requirements contradict each other: \(facts.prefix(Self.messageLimit))",
                suggestion: "loosen one of these versions", cause: cause)
        }
        return other(cause)
    }

    private func withoutWheel(_ requirement: String, _ cause: UvFailure) -> BerthError {
        let name = Self.name(of: requirement)
        let advice: String
        if let alias = Self.aliases[name] {
            advice = "did you mean \(alias)?"
        } else if fittingPythons.isEmpty {
            advice = "berth installs wheels only; choose a version of \(name) that has one"
        } else {
            advice = "Python \(fittingPythons.joined(separator: ", ")) would do: set `python`, or change the version"
        }
        return BerthError(
            .dependencies,
            "\(requirement) has no wheel for Python \(python.minor) on \(LockInputs.platform)\(place(of: name))",
            suggestion: advice, cause: cause)
    }

    private func other(_ cause: UvFailure) -> BerthError {
        if let match = text.firstMatch(of: /Couldn't parse requirement[^\n]*\n\s*(?:cause: )?([^\n]+)\n\s*([^\n]+)/) {
            return BerthError(.dependencies, "requirement `\(match.2)` is not valid: \(match.1)", cause: cause)
        }
        if text.contains(/Failed to fetch|error sending request|dns error|timed out/) {
            return BerthError(
                .dependencies, "the package index cannot be reached",
                suggestion: "check the network; UV_INDEX_URL and HTTPS_PROXY are respected", cause: cause)
        }
        let first = text.split(separator: "\n").first { $0.hasPrefix("error: ") }.map { String($0.dropFirst(7)) }
        return BerthError(
            .dependencies, first.map { "uv: \($0)" } ?? "uv could not resolve the requirements", cause: cause)
    }

    /// uv's reasoning as running text, without its labels and line breaks.
    private var prose: String {
        text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: " ")
    }

    /// What uv reasons from, each once, without its intermediate conclusions.
    private var facts: [String] {
        var seen: [String] = []
        for match in prose.matches(of: /(?i)because (.*?),? we can conclude/) {
            for part in String(match.1).components(separatedBy: " and ") {
                let fact = part.trimmingCharacters(in: .whitespaces)
                if !fact.isEmpty, !seen.contains(fact) { seen.append(fact) }
            }
        }
        return seen
    }

    /// ` (requirements.txt:3)`, or the line of a list, so that the user finds it.
    private func place(of name: String) -> String {
        switch inputs.requirements {
        case .list(let lines):
            guard let line = lines.first(where: { Self.name(of: $0) == name }), line != name else { return "" }
            return " (requirement `\(line)`)"
        case .file(let path):
            guard let text = try? LockInputs.read(LockInputs.resolve(path, in: inputs.folder)) else { return "" }
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            guard let index = lines.firstIndex(where: { Self.name(of: String($0)) == name }) else { return "" }
            return " (\(path):\(index + 1))"
        case .none: return ""
        }
    }

    private static func name(of requirement: String) -> String {
        Lock.normalised(
            requirement.trimmingCharacters(in: .whitespaces).prefix { $0.isLetter || $0.isNumber || "-_.".contains($0) }
        )
    }

    static func suggestion(for name: String) -> String? {
        if let alias = aliases[name] { return alias }
        let near = common.map { ($0, EditDistance.between(name, $0)) }.min { $0.1 < $1.1 }
        guard let near, near.1 <= max(1, name.count / 4) else { return nil }
        return near.0
    }

    /// Import names that differ from the package's name.
    private static let aliases = [
        "sklearn": "scikit-learn", "cv2": "opencv-python-headless", "pil": "pillow", "yaml": "pyyaml",
        "bs4": "beautifulsoup4",
        "skimage": "scikit-image", "onnx-runtime": "onnxruntime", "pytorch": "torch", "dotenv": "python-dotenv",
    ]
    private static let common = [
        "numpy", "pandas", "scikit-learn", "scipy", "torch", "torchvision", "tensorflow", "onnxruntime", "xgboost",
        "lightgbm", "catboost", "fastapi", "flask", "uvicorn", "gunicorn", "pydantic", "transformers", "joblib",
        "pillow",
        "requests", "httpx", "starlette", "msgspec", "statsmodels", "keras", "jax", "sentence-transformers", "spacy",
    ]
}
