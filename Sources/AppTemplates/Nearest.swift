import DeploymentCore

/// The candidate that a reader most likely meant: at most a third of the letters differ; nil when none is near.
func nearest(to word: String, among candidates: [String]) -> String? {
    let ranked = candidates.map { (distance: EditDistance.between(word, $0), candidate: $0) }
    guard let best = ranked.min(by: { $0.distance < $1.distance }) else { return nil }
    return best.distance <= max(1, max(word.count, best.candidate.count) / 3) ? best.candidate : nil
}
