# all: Has "all" that a pipeline can have.
#
# Made by `wharf pipeline compile all-in-containers.yaml --target cwl --stack prod`.
# Change the pipeline, and make this anew. The pipeline itself is in the store: a task
# needs that and `wharf`, and nothing else.

cwlVersion: v1.2
$graph:
- id: main
  class: Workflow
  label: all
  doc: Has "all" that a pipeline can have.
  requirements:
    MultipleInputFeatureRequirement: {}
    ScatterFeatureRequirement: {}
    StepInputExpressionRequirement: {}
  inputs:
    run_id:
      doc: Another one for each run; with the same again, it goes on.
      type: string
    text:
      doc: What is read (artifact:NAME, or a path; by default book.txt)
      type:
      - "null"
      - string
      - File
      - Directory
    top:
      doc: "How many words: the \"top\" ones"
      type: long
      default: 10
    rate:
      type: double
      default: 0.5
    title:
      type: string
      default: It's {{ a }} $TITLE
    strict:
      type: boolean
      default: false
    weights:
      type: Any
      default:
      - 0.5
      - 1.0
    secret_AWS_SECRET_ACCESS_KEY:
      doc: The file with AWS_SECRET_ACCESS_KEY
      type: File
      default:
        class: File
        location: file:///run/secrets/key
  steps:
    list-files:
      doc: Runs steps/list.wasm.
      run: "#step"
      in:
        run_id: run_id
        text: text
        top: top
        rate: rate
        title: title
        strict: strict
        weights: weights
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: list-files
        file_name:
          default: list-files
        retried_by:
          default: step
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
    count_items:
      doc: Lists the items of count.
      run: "#items"
      in:
        run_id: run_id
        text: text
        top: top
        rate: rate
        title: title
        strict: strict
        weights: weights
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: count
        comes_after:
          source:
          - list-files/ending
          linkMerge: merge_flattened
      out:
      - indices
    count:
      doc: Runs steps/count.wasm.
      run: "#step"
      scatter: item_index
      in:
        run_id: run_id
        text: text
        top: top
        rate: rate
        title: title
        strict: strict
        weights: weights
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: count
        comes_after:
          source:
          - list-files/ending
          linkMerge: merge_flattened
        file_name:
          valueFrom: count-$(inputs.item_index)
        item_index: count_items/indices
        retried_by:
          default: step
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
        ToolTimeLimit:
          timelimit: 490
    import:
      doc: Runs steps/count.wasm.
      run: "#step"
      scatter: item_index
      in:
        run_id: run_id
        text: text
        top: top
        rate: rate
        title: title
        strict: strict
        weights: weights
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: import
        file_name:
          valueFrom: import-$(inputs.item_index)
        item_index:
          default:
          - 0
          - 1
          - 2
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
        ToolTimeLimit:
          timelimit: 7260
    merge-all:
      doc: Runs steps/merge.wasm, and publishes all-counts.
      run: "#step"
      in:
        run_id: run_id
        text: text
        top: top
        rate: rate
        title: title
        strict: strict
        weights: weights
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: merge-all
        comes_after:
          source:
          - count/ending
          - import/ending
          linkMerge: merge_flattened
        file_name:
          default: merge-all
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 3328
    last:
      doc: Publishes all-counts:prod.
      run: "#step"
      in:
        run_id: run_id
        text: text
        top: top
        rate: rate
        title: title
        strict: strict
        weights: weights
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: last
        comes_after:
          source:
          - merge-all/ending
          linkMerge: merge_flattened
        file_name:
          default: last
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
  outputs:
    list_files_ending:
      type: File
      outputSource: list-files/ending
    count_ending:
      type: File[]
      outputSource: count/ending
    import_ending:
      type: File[]
      outputSource: import/ending
    merge_all_ending:
      type: File
      outputSource: merge-all/ending
    last_ending:
      type: File
      outputSource: last/ending
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
  - sha256:b877ab22a3aa0e196087411ae4c14676a763fc850de2057e3cbd1aabfdf64d15
  inputs:
    run_id:
      type: string
      inputBinding:
        prefix: --run-id
    text:
      type:
      - "null"
      - string
      - File
      - Directory
      inputBinding:
        prefix: text=
        separate: false
    top: long
    rate: double
    title: string
    strict: boolean
    weights: Any
    secret_AWS_SECRET_ACCESS_KEY: File
    step_name:
      type: string
      inputBinding:
        prefix: --step
    item_index:
      type: int?
      inputBinding:
        prefix: --item
    retried_by:
      type: string?
      inputBinding:
        prefix: --retries
    file_name: string
    comes_after: File[]?
  arguments:
  - --ending-to
  - $(inputs.file_name).json
  - --secret
  - AWS_SECRET_ACCESS_KEY=file:$(inputs.secret_AWS_SECRET_ACCESS_KEY.path)
  - top=$(inputs.top)
  - rate=$(inputs.rate)
  - title=$(inputs.title)
  - strict=$(inputs.strict)
  - weights=$(inputs.weights)
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
  - sha256:b877ab22a3aa0e196087411ae4c14676a763fc850de2057e3cbd1aabfdf64d15
  inputs:
    run_id:
      type: string
      inputBinding:
        prefix: --run-id
    text:
      type:
      - "null"
      - string
      - File
      - Directory
      inputBinding:
        prefix: text=
        separate: false
    top: long
    rate: double
    title: string
    strict: boolean
    weights: Any
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
  - top=$(inputs.top)
  - rate=$(inputs.rate)
  - title=$(inputs.title)
  - strict=$(inputs.strict)
  - weights=$(inputs.weights)
  outputs:
    indices:
      type: int[]
      outputBinding:
        glob: items.json
        loadContents: true
        outputEval: $(JSON.parse(self[0].contents))
