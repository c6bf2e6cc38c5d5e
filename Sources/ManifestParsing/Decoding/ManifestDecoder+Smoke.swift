import DeploymentCore

extension ManifestDecoder {
    /// The smoke tests; those without a name are called `test-1`, `test-2`, … by their place in the list.
    func smoke(_ elements: [Checked], predict: Manifest.Predict) -> [SmokeTest] {
        var tests: [SmokeTest] = []
        var names: Set<String> = []
        for (index, element) in elements.enumerated() {
            guard let fields = element.fields else { continue }
            let test = smokeTest(fields, name: fields["name"]?.text ?? "test-\(index + 1)", predict: predict)
            if !names.insert(test.name).inserted {
                findings.error(
                    "another smoke test is called \(quoted(test.name))", at: fields["name"]?.place ?? fields.place)
            }
            tests.append(test)
        }
        return tests
    }

    private func smokeTest(_ given: Fields, name: String, predict: Manifest.Predict) -> SmokeTest {
        if given.has("request"), given.has("form") {
            findings.error(
                "'request' and 'form' cannot both be the body", at: given.place(of: "form"), suggestion: "keep one")
        }
        var body = SmokeTest.Body.none
        if let form = given["form"]?.fields {
            body = .form(form.entries.compactMap(field))
        } else if let request = given["request"]?.json {
            body = .json(request)
        }
        if given.has("form"), let method = given["method"], method.text == "GET" {
            findings.error("a GET request has no form", at: method.place, suggestion: "leave 'method' out")
        }
        let hasBody = given.has("form") || given.has("request")
        let request = SmokeTest.Request(
            method: given["method"]?.text ?? (hasBody ? "POST" : "GET"), path: given["path"]?.text,
            headers: headers(given["headers"]?.fields), body: body)
        let within = given["within"]?.duration
        if let within, within > predict.timeout {
            findings.warning(
                "'within' (\(DurationText.write(within))) is longer than 'predict.timeout' "
                    + "(\(DurationText.write(predict.timeout))), which ends the request first",
                at: given["within"]?.place ?? given.place)
        }
        let expectations = given["expect"]?.fields?.entries.flatMap(expectations) ?? []
        return SmokeTest(
            name: name, request: request, expect: expectations, status: given["status"]?.integer ?? 200, within: within)
    }

    private func field(_ entry: Fields.Entry) -> SmokeTest.FormField? {
        guard let text = entry.value?.text else { return nil }
        if text.hasPrefix("@@") { return SmokeTest.FormField(name: entry.name, value: .text(String(text.dropFirst()))) }
        if text.hasPrefix("@") { return SmokeTest.FormField(name: entry.name, value: .file(String(text.dropFirst()))) }
        return SmokeTest.FormField(name: entry.name, value: .text(text))
    }

    /// One expectation for a value, one per key for a matcher.
    private func expectations(_ entry: Fields.Entry) -> [SmokeTest.Expectation] {
        guard let value = entry.value, let path = AnswerPath.parse(entry.name) else { return [] }
        if !entry.name.hasPrefix("$"), entry.name.contains(where: { $0 == "." || $0 == "[" }) {
            findings.warning(
                "\(quoted(entry.name)) is taken for one key", at: entry.place,
                suggestion: "write \(quoted("$." + entry.name)) for a path")
        }
        if let json = value.json { return [SmokeTest.Expectation(path: path, matcher: .equals(json))] }
        guard let fields = value.fields else { return [] }
        return matchers(fields).map { SmokeTest.Expectation(path: path, matcher: $0) }
    }

    private func matchers(_ given: Fields) -> [SmokeTest.Matcher] {
        var matchers: [SmokeTest.Matcher] = []
        if let value = given["approx"] {
            if let json = value.json, Self.isNumeric(json) {
                let tolerance = given["tolerance"]?.number ?? ManifestSchema.defaultTolerance
                matchers.append(.approximately(json, tolerance: tolerance))
            } else {
                findings.error("'approx' must be a number or nested lists of numbers", at: value.place)
            }
        } else if given.has("tolerance"), !given.has("approx") {
            findings.error(
                "'tolerance' needs 'approx'", at: given.place(of: "tolerance"),
                suggestion: "as in {approx: 0.5, tolerance: 0.01}")
        }
        let (low, high) = (given["at_least"]?.number, given["at_most"]?.number)
        if let low, let high, low > high {
            findings.error("no number is at least \(low) and at most \(high)", at: given.place(of: "at_most"))
        }
        if let low { matchers.append(.atLeast(low)) }
        if let high { matchers.append(.atMost(high)) }
        if let values = given["one_of"]?.list {
            if values.isEmpty { findings.error("'one_of' must name a value", at: given.place(of: "one_of")) }
            matchers.append(.oneOf(values.compactMap(\.json)))
        }
        if given["exists"] != nil { matchers.append(.exists) }
        if let length = given["length"]?.integer { matchers.append(.length(length)) }
        return matchers
    }

    private static func isNumeric(_ value: JSONValue) -> Bool {
        if case .array(let elements) = value { return !elements.isEmpty && elements.allSatisfy(isNumeric) }
        return value.double != nil
    }
}
