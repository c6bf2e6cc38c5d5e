import DeploymentCore
import Testing

@Suite struct EditDistanceTests {
    @Test(arguments: [
        ("", "", 0), ("", "abc", 3), ("same", "same", 0), ("kitten", "sitting", 3), ("flask", "falsk", 1),
        ("numpy", "numpyy", 1), ("abcd", "badc", 2), ("ä", "a", 1),
    ])
    func stepsAreCounted(_ one: String, _ other: String, _ steps: Int) {
        #expect(EditDistance.between(one, other) == steps)
        #expect(EditDistance.between(other, one) == steps)
    }

    @Test func longWordsAreComparedByTheirBeginnings() {
        let long = String(repeating: "x", count: EditDistance.maximumLength)
        #expect(EditDistance.between(long + "a", long + "bcd") == 0)
    }
}
