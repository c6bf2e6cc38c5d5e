import ControlAPI
import DeploymentCore

/// Checks on the file list of a request, which comes from outside.
enum BundleFiles {
    /// The most files of a bundle.
    static let maximumCount = 10_000

    /// - Throws: `artifact` for a path that leaves the app folder, appears twice, or a digest that is none.
    static func check(_ files: [BundleFile]) throws {
        guard files.count <= maximumCount else {
            throw BerthError(.tooLarge, "\(files.count) files are more than a bundle holds (\(maximumCount))")
        }
        var seen: Set<String> = []
        for file in files {
            let parts = file.path.split(separator: "/", omittingEmptySubsequences: false)
            // Smoke files never enter the app folder; theirs is only the name that the manifest gives them.
            let isInside =
                file.role == .smoke || (!file.path.isEmpty && !parts.contains { ["", ".", ".."].contains($0) })
            let isRooted = file.root.map { file.path.hasPrefix("\($0)/") && !$0.isEmpty } ?? true
            let isClean = !file.path.unicodeScalars.contains { $0.properties.generalCategory == .control }
            guard isInside, isRooted, isClean, file.path.utf8.count <= 1_024 else {
                throw BerthError(.artifact, "the path \(file.path) does not stay inside the app folder")
            }
            guard seen.insert(file.role == .smoke ? "smoke:\(file.path)" : file.path).inserted else {
                throw BerthError(.artifact, "two files claim the path \(file.path)")
            }
            guard file.sha256.utf8.count == 64, file.sha256.utf8.allSatisfy(isHexDigit) else {
                throw BerthError(.artifact, "\(file.path) comes without a SHA-256 digest")
            }
        }
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}
