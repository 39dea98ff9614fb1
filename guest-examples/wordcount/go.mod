module example/wordcount

go 1.22
