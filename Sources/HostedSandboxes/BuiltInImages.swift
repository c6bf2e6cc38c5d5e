import DeploymentCore
import E2BProtocol
import Sandboxes

/// The images that a server has without anybody building one: only `base`.
public struct BuiltInImages: ImageCatalog {
    /// The image that sandboxes are made from unless their creator says otherwise: the machine's own programs.
    public static let base = SandboxImage(template: "base", build: "base", alias: "base")

    /// Creates a catalog.
    public init() {}

    /// The image `base`, with or without its tag.
    public func image(_ reference: String) async throws -> SandboxImage {
        guard ["base", "base:default"].contains(reference.lowercased()) else {
            throw ControlFailure(404, "template '\(VisibleText.of(reference))' not found")
        }
        return Self.base
    }
}
