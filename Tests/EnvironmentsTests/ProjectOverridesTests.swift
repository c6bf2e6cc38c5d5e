import DeploymentCore
import Testing

@testable import Environments

@Suite struct ProjectOverridesTests {
    @Test func overridesAreReadFromTheirSectionOnly() throws {
        let project = """
            [project]
            name = "x"
            override-dependencies = ["not-these"]

            [tool.uv] # settings
            dev-dependencies = ["nor-these"]
            override-dependencies = [
                # a reason
                "torch; python_version < '3'", 'numpy==2.0.0', # another
            ]

            [tool.other]
            override-dependencies = ["nor-those"]
            """
        #expect(try ProjectOverrides.read(project).count == 2)
        #expect(try ProjectOverrides.read(project).first?.hasPrefix("torch") == true)
        #expect(try ProjectOverrides.read("[project]\nname = \"x\"\n").isEmpty)
    }

    @Test(arguments: [
        #"["a\u0020b"]"#, #"["a\n--no-binary x"]"#, "[3]", #"["a""#, #"["-e ."]"#, #"["x @ git+https://h/x"]"#,
        #"[""]"#,
        #"["""a"""]"#,
    ])
    func whatIsNoPlainRequirementIsRefused(array: String) {
        let error = #expect(throws: BerthError.self) {
            try ProjectOverrides.read("[tool.uv]\noverride-dependencies = \(array)\n")
        }
        #expect(error?.code == .dependencies)
    }
}
