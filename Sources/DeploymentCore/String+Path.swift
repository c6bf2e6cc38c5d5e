extension String {
    /// The folder part of a path, without its `/`; empty when there is none. (Foundation's traps on some short paths.)
    public var parentPath: String {
        guard let slash = lastIndex(of: "/") else { return "" }
        return slash == startIndex ? "/" : String(self[..<slash])
    }

    /// What follows the last `/`.
    public var lastName: String { lastIndex(of: "/").map { String(self[index(after: $0)...]) } ?? self }
}
