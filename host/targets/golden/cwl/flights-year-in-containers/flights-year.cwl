# flights-year: Counts each month of a year, and makes one table of them.
#
# Made by `wharf pipeline compile flights-year-in-containers.yaml --target cwl --stack prod`.
# Change the pipeline, and make this anew. The pipeline itself is in the store: a task
# needs that and `wharf`, and nothing else.

cwlVersion: v1.2
$graph:
- id: main
  class: Workflow
  label: flights-year
  doc: Counts each month of a year, and makes one table of them.
  requirements:
    MultipleInputFeatureRequirement: {}
    ScatterFeatureRequirement: {}
    StepInputExpressionRequirement: {}
  inputs:
    run_id:
      doc: Another one for each run; with the same again, it goes on.
      type: string
    flights:
      doc: An artifact (artifact:NAME, or a path; by default flights.csv)
      type:
      - "null"
      - string
      - File
      - Directory
    months:
      type: Any
      default:
      - 2013-01
      - 2013-02
      - 2013-03
      - 2013-04
      - 2013-05
      - 2013-06
      - 2013-07
      - 2013-08
      - 2013-09
      - 2013-10
      - 2013-11
      - 2013-12
    secret_AWS_SECRET_ACCESS_KEY:
      doc: The file with AWS_SECRET_ACCESS_KEY
      type: File
      default:
        class: File
        location: file:///run/secrets/key
  steps:
    summarise_items:
      doc: Lists the items of summarise.
      run: "#items"
      in:
        run_id: run_id
        flights: flights
        months: months
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: summarise
      out:
      - indices
    summarise:
      doc: Runs steps/summarise.wasm.
      run: "#step"
      scatter: item_index
      in:
        run_id: run_id
        flights: flights
        months: months
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: summarise
        file_name:
          valueFrom: summarise-$(inputs.item_index)
        item_index: summarise_items/indices
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 272
    merge:
      doc: Runs steps/merge.wasm, and publishes flights-of-a-year.
      run: "#step"
      in:
        run_id: run_id
        flights: flights
        months: months
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: merge
        comes_after:
          source:
          - summarise/ending
          linkMerge: merge_flattened
        file_name:
          default: merge
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
  outputs:
    summarise_ending:
      type: File[]
      outputSource: summarise/ending
    merge_ending:
      type: File
      outputSource: merge/ending
- id: step
  class: CommandLineTool
  doc: Runs a step of the pipeline.
  requirements:
    EnvVarRequirement:
      envDef:
        AWS_REGION: eu-central-1
    NetworkAccess:
      networkAccess: true
  hints:
    DockerRequirement:
      dockerPull: registry.example.com/wharf:0.1.0
  baseCommand:
  - wharf
  - step
  - exec
  - --store
  - s3://bucket/wharf
  - --pipeline
  - sha256:74345cbaf763c8945c7f3a6a39a17edff419a0b56154b249f327c679c3dcb1d3
  inputs:
    run_id:
      type: string
      inputBinding:
        prefix: --run-id
    flights:
      type:
      - "null"
      - string
      - File
      - Directory
      inputBinding:
        prefix: flights=
        separate: false
    months: Any
    secret_AWS_SECRET_ACCESS_KEY: File
    step_name:
      type: string
      inputBinding:
        prefix: --step
    item_index:
      type: int?
      inputBinding:
        prefix: --item
    file_name: string
    comes_after: File[]?
  arguments:
  - --ending-to
  - $(inputs.file_name).json
  - --secret
  - AWS_SECRET_ACCESS_KEY=file:$(inputs.secret_AWS_SECRET_ACCESS_KEY.path)
  - months=$(inputs.months)
  outputs:
    ending:
      doc: How it ended, and what it returned, as JSON.
      type: File
      outputBinding:
        glob: $(inputs.file_name).json
  successCodes:
  - 0
  - 99
  temporaryFailCodes:
  - 75
  permanentFailCodes:
  - 1
  - 2
- id: items
  class: CommandLineTool
  doc: Lists the items of a step.
  requirements:
    InlineJavascriptRequirement: {}
    EnvVarRequirement:
      envDef:
        AWS_REGION: eu-central-1
    NetworkAccess:
      networkAccess: true
  hints:
    DockerRequirement:
      dockerPull: registry.example.com/wharf:0.1.0
  baseCommand:
  - wharf
  - step
  - items
  - --store
  - s3://bucket/wharf
  - --pipeline
  - sha256:74345cbaf763c8945c7f3a6a39a17edff419a0b56154b249f327c679c3dcb1d3
  inputs:
    run_id:
      type: string
      inputBinding:
        prefix: --run-id
    flights:
      type:
      - "null"
      - string
      - File
      - Directory
      inputBinding:
        prefix: flights=
        separate: false
    months: Any
    secret_AWS_SECRET_ACCESS_KEY: File
    step_name:
      type: string
      inputBinding:
        prefix: --step
    comes_after: File[]?
  arguments:
  - --results-to
  - items.json
  - --secret
  - AWS_SECRET_ACCESS_KEY=file:$(inputs.secret_AWS_SECRET_ACCESS_KEY.path)
  - months=$(inputs.months)
  outputs:
    indices:
      type: int[]
      outputBinding:
        glob: items.json
        loadContents: true
        outputEval: $(JSON.parse(self[0].contents))
