import DeploymentCore

/// What to say about a key that does not exist: where it is spelled otherwise, or what it looks like.
enum KeyHints {
    /// The best guess at what was meant; nil without one.
    ///
    /// - Parameters:
    ///   - key: the unknown key.
    ///   - keys: the keys that would be known there.
    ///   - path: the mapping it was found in, empty for the root.
    static func suggestion(for key: String, among keys: [Key], path: String) -> String? {
        guard key.utf8.count <= 64 else { return nil }
        let names = keys.map(\.name)
        if let spelled = names.first(where: { folded($0) == folded(key) }) { return "did you mean \(quoted(spelled))?" }
        let homes = placesByName[key, default: []].filter { $0 != path }
        if !homes.isEmpty {
            let places = homes.map { $0.isEmpty ? "at the top" : "under \(quoted($0))" }
            return "\(quoted(key)) belongs \(alternatives(places))"
        }
        if let spelling = ForeignSpellings.suggestion(for: key) { return spelling }
        if let near = nearest(key, among: names) { return "did you mean \(quoted(near))?" }
        guard names.count <= 9 else { return nil }
        return "known keys: \(names.joined(separator: ", "))"
    }

    /// What to say when a key of a plain object was likely meant as a matcher's; nil when it was not.
    static func matcherSlip(_ key: String, _ matchers: [Key]) -> String? {
        let names = matchers.map(\.name)
        if let near = nearest(key, among: names) { return "did you mean \(quoted(near))?" }
        guard let hint = ForeignSpellings.suggestion(for: key) else { return nil }
        return names.contains { hint.contains(quoted($0)) } ? hint : nil
    }

    /// The most similar text, when it is similar enough to be a slip.
    static func nearest(_ text: String, among candidates: [String]) -> String? {
        guard text.utf8.count <= 64 else { return nil }
        let ranked = candidates.map { ($0, EditDistance.between(folded(text), folded($0))) }
        guard let best = ranked.min(by: { $0.1 < $1.1 }) else { return nil }
        return best.1 <= min(3, max(1, best.0.utf8.count / 3)) && best.1 < text.utf8.count ? best.0 : nil
    }

    /// Lower case without `_` and `-`, so that `startupTimeout` meets `startup_timeout`.
    private static func folded(_ text: String) -> String {
        text.lowercased().filter { $0 != "_" && $0 != "-" }
    }

    /// Each key's name with the mappings it is known in.
    private static let placesByName: [String: [String]] = {
        var places: [String: [String]] = [:]
        func visit(_ keys: [Key], _ path: String) {
            for key in keys {
                places[key.name, default: []].append(path)
                let inner = path.isEmpty ? key.name : "\(path).\(key.name)"
                for keys in mappings(in: key.shape) { visit(keys, inner) }
            }
        }
        visit(ManifestSchema.root, "")
        return places
    }()

    private static func mappings(in shape: Shape) -> [[Key]] {
        switch shape {
        case .mapping(let keys): [keys]
        case .list(let element, _): mappings(in: element)
        case .oneOf(let shapes): shapes.flatMap(mappings)
        default: []
        }
    }
}
