extension Manifest {
    /// Where the sandbox is made.
    public struct Provider: Sendable, Equatable, Codable {
        /// Who makes it.
        public var name: Name
        /// The template that it is made from; nil is the provider's choice.
        public var template: String?

        /// Creates a choice.
        public init(name: Name = .local, template: String? = nil) {
            self.name = name
            self.template = template
        }

        /// Who makes sandboxes.
        public enum Name: String, Sendable, Equatable, Codable, CaseIterable {
            /// The machine that the control plane runs on.
            case local
            /// E2B, or whoever speaks its protocol.
            case e2b
        }
    }
}
