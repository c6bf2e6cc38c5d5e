import DeploymentCore
import E2BProtocol

/// What a recipe file says: instructions as a Dockerfile has them, as far as they mean something here.
struct Recipe: Equatable {
    /// The longest recipe, in bytes.
    static let limit = 1 << 20
    private static let known = "FROM, RUN, COPY, ENV, WORKDIR, USER and CMD are"

    /// What is built; its COPY steps have no files yet.
    var recipe: TemplateRecipe

    /// Reads a recipe.
    ///
    /// - Throws: `usage`, naming the line.
    init(_ text: String) throws(BerthError) {
        recipe = TemplateRecipe()
        var isBegun = false
        for (number, line) in Self.lines(of: text) {
            let word = line.prefix { !$0.isWhitespace }
            let rest = line.dropFirst(word.count).drop(while: \.isWhitespace)
            let keyword = word.uppercased()
            guard isBegun || keyword == "FROM" else { throw Self.wrong(number, "a recipe begins with FROM") }
            guard !rest.isEmpty else { throw Self.wrong(number, "\(keyword) says nothing") }
            switch keyword {
            case "FROM":
                guard !isBegun else { throw Self.wrong(number, "a recipe has one FROM") }
                isBegun = true
                let words = try Self.words(rest, number)
                guard words.count == 1 else { throw Self.wrong(number, "FROM takes the name of a template: FROM base") }
                if words[0].hasPrefix("e2bdev/") { recipe.image = words[0] } else { recipe.template = words[0] }
            case "RUN": recipe.steps.append(.init(.run, [try Self.command(rest, number)]))
            case "COPY": recipe.steps += try Self.copies(rest, number)
            case "ENV": recipe.steps.append(.init(.environment, try Self.variables(rest, number)))
            case "WORKDIR", "USER":
                let words = try Self.words(rest, number)
                guard words.count == 1 else { throw Self.wrong(number, "\(keyword) takes one word") }
                recipe.steps.append(.init(keyword == "USER" ? .user : .workdir, words))
            case "CMD":
                guard recipe.startCommand == nil else { throw Self.wrong(number, "a recipe has one CMD") }
                recipe.startCommand = try Self.command(rest, number)
            default: throw Self.wrong(number, "\(VisibleText.of(keyword)) means nothing here; \(Self.known) known")
            }
        }
        guard isBegun else { throw BerthError(.usage, "the recipe is empty", suggestion: "begin it with FROM base") }
    }

    private static func wrong(_ line: Int, _ message: String) -> BerthError {
        BerthError(.usage, "line \(line): \(message)")
    }

    /// The lines with the number each begins at: without comments, and with those that go on joined.
    private static func lines(of text: String) -> [(Int, Substring)] {
        var lines: [(Int, Substring)] = []
        var open: (number: Int, text: String)?
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.drop(while: \.isWhitespace)
            if line.hasPrefix("#") || (line.isEmpty && open != nil) { continue }
            var joined = (number: open?.number ?? index + 1, text: (open?.text ?? "") + line)
            while joined.text.last?.isWhitespace ?? false { joined.text.removeLast() }
            if joined.text.hasSuffix("\\") {
                joined.text.removeLast()
                open = joined
                continue
            }
            open = nil
            if !joined.text.isEmpty { lines.append((joined.number, joined.text[...])) }
        }
        if let open, !open.text.isEmpty { lines.append((open.number, open.text[...])) }
        return lines
    }

    /// A command for the shell; of a list in JSON, its quoted words.
    private static func command(_ text: Substring, _ number: Int) throws(BerthError) -> String {
        guard text.hasPrefix("["), let list = try? JSONValue(parsing: String(text)).array else { return String(text) }
        var words: [String] = []
        for value in list {
            guard let word = value.string else { throw wrong(number, "a command in brackets is a list of texts") }
            words.append("'" + word.replacing("'", with: "'\\''") + "'")
        }
        guard !words.isEmpty else { throw wrong(number, "the command is empty") }
        return words.joined(separator: " ")
    }

    private static func copies(_ text: Substring, _ number: Int) throws(BerthError) -> [TemplateRecipe.Step] {
        var words = try words(text, number)
        var (owner, mode) = ("", "")
        while let word = words.first, word.hasPrefix("--") {
            words.removeFirst()
            if word.hasPrefix("--chown=") {
                owner = String(word.dropFirst("--chown=".count).prefix { $0 != ":" })
            } else if word.hasPrefix("--chmod=") {
                mode = String(word.dropFirst("--chmod=".count))
            } else {
                throw wrong(number, "COPY \(word) means nothing here; --chown and --chmod are known")
            }
        }
        guard let target = words.popLast(), !words.isEmpty else {
            throw wrong(number, "COPY takes sources and a target")
        }
        guard words.count == 1 || target.hasSuffix("/") else {
            throw wrong(number, "the target of several sources is a folder and ends with /")
        }
        for source in words where source.hasPrefix("/") || source.split(separator: "/").contains("..") {
            throw wrong(number, "\(source) is outside of the recipe's folder")
        }
        return words.map { TemplateRecipe.Step(.copy, [$0, target, owner, mode]) }
    }

    private static func variables(_ text: Substring, _ number: Int) throws(BerthError) -> [String] {
        let words = try words(text, number)
        if let first = words.first, !first.contains("=") {
            guard words.count > 1 else { throw wrong(number, "ENV \(first) has no value") }
            return [first, words.dropFirst().joined(separator: " ")]
        }
        var pairs: [String] = []
        for word in words {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty else { throw wrong(number, "ENV takes NAME=value") }
            pairs += [String(parts[0]), String(parts[1])]
        }
        return pairs
    }

    /// Words as a shell sees them, without expansion: quotes and backslashes keep what is in them together.
    private static func words(_ text: Substring, _ number: Int) throws(BerthError) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var isEscaped = false
        for character in text {
            if isEscaped {
                word = (word ?? "") + String(character)
                isEscaped = false
            } else if character == "\\", quote != "'" {
                isEscaped = true
            } else if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
            } else if character == "\"" || character == "'" {
                quote = character
                word = word ?? ""
            } else if character.isWhitespace {
                if let whole = word { words.append(whole) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        guard quote == nil else { throw wrong(number, "a quote is not closed") }
        if let word { words.append(word) }
        return words
    }
}
