import NIOHTTP1

/// The page that people see in a browser where programs get JSON.
enum RefusalPage {
    /// Whether a person asks: a browser does, and no script in it.
    static func isWanted(_ headers: HTTPHeaders) -> Bool {
        guard headers.first(name: "user-agent")?.contains("Mozilla/") == true else { return false }
        if headers.contains(name: "x-requested-with") { return false }
        if let mode = headers.first(name: "sec-fetch-mode"), mode != "navigate" { return false }
        guard let accept = headers.first(name: "accept") else { return true }
        return accept.contains("text/html")
    }

    /// The page.
    static func html(_ refusal: GateRefusal) -> [UInt8] {
        let place = [refusal.sandbox.map { "Sandbox <code>\(escaped($0))</code>" }, refusal.port.map { "port \($0)" }]
        return Array(
            """
            <!doctype html>
            <html lang="en">
            <meta charset="utf-8">
            <title>\(refusal.status)</title>
            <h1>\(escaped(refusal.message))</h1>
            <p>\(place.compactMap(\.self).joined(separator: ", "))</p>
            </html>

            """.utf8)
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
        return result
    }
}
