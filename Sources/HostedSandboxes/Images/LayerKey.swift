import Crypto
import E2BProtocol
import Sandboxes

/// The digest of all that led to a layer: what was begun with, and every step since.
struct LayerKey: Sendable, Equatable {
    /// Counts up when the same steps would give something else, as our way of doing them changed.
    private static let version = "1"
    /// SHA-256 in lower-case hexadecimal digits.
    let text: String

    /// What a build begins with.
    init(base image: SandboxImage) {
        text = Self.digest([
            Self.version, image.template, image.build, image.archive ?? "", image.user, image.workdir ?? "",
            image.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: "\0"),
            image.mounts.map { "\($0.source)\0\($0.target)" }.joined(separator: "\0"),
        ])
    }

    private init(text: String) { self.text = text }

    /// After one more step.
    func after(_ step: TemplateRecipe.Step) -> LayerKey {
        LayerKey(text: Self.digest([text, step.kind.rawValue, step.files ?? ""] + step.arguments))
    }

    /// Of parts that cannot be mistaken for others: each goes with its length.
    private static func digest(_ parts: [String]) -> String {
        var hash = Crypto.SHA256()
        for part in parts {
            hash.update(data: Array("\(part.utf8.count):".utf8))
            hash.update(data: Array(part.utf8))
        }
        return hash.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
