extension Duration {
    /// The duration as milliseconds, with its fraction.
    public var milliseconds: Double {
        Double(components.seconds) * 1_000 + Double(components.attoseconds) / 1e15
    }
}
